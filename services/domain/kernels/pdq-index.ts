/*
 * All known PDQ hashes within a radius of one, exactly, by multi-index hashing with a chained filter.
 *
 * A hash is 16 substrings of 16 bits, and there is a table for each: the ids of all hashes in the order of that substring, and beside each id
 * the hash's next substring. Take t = floor(radius / 16), so that a hash within the radius differs in less than 16 * (t + 1) bits. Then (by the
 * cycle lemma, of the 16 distances in a ring) there is a substring k with d(k) <= t and d(k) + d(k + 1) <= 2t + 1. So of each table only the
 * buckets within t bits are read, and of these only the next substrings, 32 at a time; few hashes are ever looked at themselves.
 *
 * Nearly all the time goes into waiting for memory. So a search first looks into many buckets, which then come side by side, and reads them
 * afterwards; and so with the hashes that are left.
 *
 * Where there are few hashes, all of them are looked at instead: half of each is enough to leave out nearly every one.
 *
 * First `open`, then the hashes where `hashes` says, then `build`; after that `query` and `search`, as often as there is something to look for.
 */

const SUBSTRINGS: i32 = 16
const VALUES: i32 = 65536
const HASH_BYTES: usize = 32
/** substrings within no bit, one bit and two bits of one */
const PROBES_0: i32 = 1
const PROBES_1: i32 = 17
const MOST_PROBES: i32 = 137
/** so many hashes are looked at one by one sooner than the tables for them */
const FEW: i32 = 2048
/** next substrings read at a time */
const LANES: u32 = 32
const LINE: usize = 64
/** more bytes than are read from the beginning of a bucket of usual size, however many hashes fit into the memory */
const BEYOND: usize = 2048
/** so many tables' buckets are on their way at a time; with more, the first would be pushed out again */
const AHEAD: i32 = 4
/** most hashes on their way at a time */
const MOST_CANDIDATES: i32 = 512

let count: i32 = 0
/** 32 bytes each, in the order of their ids */
export let hashes: usize = 0
/** what is looked for: 32 bytes */
export let query: usize = 0
/** what was found: id and distance, u32 each */
export let found: usize = 0
/** for each table: where each bucket begins, and behind the last where it ends; u32 */
let starts: usize = 0
/** for each table: ids by bucket, u32; the next substrings of these hashes, u16 */
let ids: usize = 0
let nexts: usize = 0
let idsEach: usize = 0
let nextsEach: usize = 0
/** substrings within two bits of nought, fewest bits first; u32 */
let masks: usize = 0
let hasMasks: bool = false
/** so many of them are within the bits of the search that is under way */
let probes: i32 = 0
/** for each table: begin and end of each bucket to read; u32 each */
let bounds: usize = 0
/** where the ids of hashes are that may be near; u32 */
let places: usize = 0
let candidates: i32 = 0
let hits: i32 = 0
/** keeps what is read ahead from being left out */
export let touched: u32 = 0

@inline
function align(at: usize): usize {
  return (at + 63) & ~63
}

const startsEach: usize = 4 * (VALUES + 16)

/**
 * Lays out the memory for so many hashes; with another capacity, what was built stays.
 * @param capacity most hits that a search tells
 * @returns bytes that there must be, which may be more than there can be
 */
export function open(hashCount: i32, capacity: i32): f64 {
  count = hashCount
  idsEach = align(4 * usize(count))
  nextsEach = align(2 * usize(count) + BEYOND)
  query = align(__heap_base)
  masks = query + 64
  bounds = align(masks + 4 * MOST_PROBES)
  places = align(bounds + 8 * MOST_PROBES * SUBSTRINGS)
  hashes = align(places + 4 * MOST_CANDIDATES)
  starts = align(hashes + HASH_BYTES * usize(count))
  ids = align(starts + startsEach * SUBSTRINGS)
  nexts = ids + idsEach * SUBSTRINGS
  found = nexts + nextsEach * SUBSTRINGS
  const each = f64(HASH_BYTES) + 6.0 * SUBSTRINGS
  return f64(hashes) + each * f64(count) + f64(SUBSTRINGS * (startsEach + BEYOND + 4 * 64)) + 8.0 * f64(capacity) + 64
}

@inline
function substring(hash: usize, k: i32): u32 {
  return load<u16>(hash + 2 * (k & (SUBSTRINGS - 1)))
}

/** Makes the tables of the hashes. */
export function build(): void {
  for (let k = 0; k < SUBSTRINGS; k++) makeTable(k)
}

/** Makes the k-th table. Exported so as not to become part of `build`: a function gets its fast code only between two calls of it. */
export function makeTable(k: i32): void {
  const table = starts + startsEach * k
  memory.fill(table, 0, 4 * (VALUES + 1))
  // Counted one place further on, so that each sum is where its bucket begins.
  for (let id = 0; id < count; id++) {
    const at = table + 4 + 4 * substring(hashes + HASH_BYTES * id, k)
    store<u32>(at, load<u32>(at) + 1)
  }
  for (let value = 1; value <= VALUES; value++) {
    const at = table + 4 * value
    store<u32>(at, load<u32>(at) + load<u32>(at - 4))
  }
  // Filling a bucket moves its beginning to its end, which is where the next one began.
  for (let id = 0; id < count; id++) {
    const hash = hashes + HASH_BYTES * id
    const at = table + 4 * substring(hash, k)
    const place = load<u32>(at)
    store<u32>(at, place + 1)
    store<u32>(ids + idsEach * k + 4 * usize(place), id)
    store<u16>(nexts + nextsEach * k + 2 * usize(place), u16(substring(hash, k + 1)))
  }
  memory.copy(table + 4, table, 4 * VALUES)
  store<u32>(table, 0)
}

/** Once: radii that need more and fewer of them may come by turns. */
function makeMasks(): void {
  let made = 0
  for (let wanted = 0; wanted <= 2; wanted++) {
    for (let mask = 0; mask < VALUES; mask++) {
      if (popcnt<i32>(mask) != wanted) continue
      store<u32>(masks + 4 * made, mask)
      made++
    }
  }
  hasMasks = true
}

/**
 * Looks for all hashes within `radius` bits of the one at `query`, 0 to 47.
 * @returns how many there are; of more than `capacity` the rest is not told
 */
export function search(radius: i32, capacity: i32): i32 {
  if (count <= FEW) return searchAll(radius, capacity)
  const bits = radius / SUBSTRINGS
  if (!hasMasks) makeMasks()
  probes = bits == 0 ? PROBES_0 : bits == 1 ? PROBES_1 : MOST_PROBES
  hits = 0
  candidates = 0
  for (let k = 0; k < SUBSTRINGS; k++) findBuckets(k)
  for (let first = 0; first < SUBSTRINGS; first += AHEAD) {
    for (let k = first; k < first + AHEAD; k++) lookAhead(k)
    for (let k = first; k < first + AHEAD; k++) scan(k, radius, capacity)
  }
  settle(radius, capacity)
  return hits
}

/** As `search`, one hash after the other. */
function searchAll(radius: i32, capacity: i32): i32 {
  hits = 0
  const q0 = load<u64>(query)
  const q1 = load<u64>(query, 8)
  const q2 = load<u64>(query, 16)
  const q3 = load<u64>(query, 24)
  for (let id = 0; id < count; id++) {
    const hash = hashes + HASH_BYTES * usize(id)
    let distance = i32(popcnt<u64>(load<u64>(hash) ^ q0)) + i32(popcnt<u64>(load<u64>(hash, 8) ^ q1))
    if (distance > radius) continue
    distance += i32(popcnt<u64>(load<u64>(hash, 16) ^ q2)) + i32(popcnt<u64>(load<u64>(hash, 24) ^ q3))
    if (distance > radius) continue
    if (hits < capacity) {
      store<u32>(found + 8 * usize(hits), id)
      store<u32>(found + 8 * usize(hits), distance, 4)
    }
    hits++
  }
  return hits
}

/** Notes where the buckets of the k-th table are. */
function findBuckets(k: i32): void {
  const table = starts + startsEach * k
  const value = substring(query, k)
  const end = masks + 4 * probes
  let to = bounds + 8 * MOST_PROBES * k
  for (let mask = masks; mask < end; mask += 4) {
    // Begin and end at once.
    store<u64>(to, load<u64>(table + 4 * (value ^ load<u32>(mask))))
    to += 8
  }
}

/** Looks at the lines of memory that a bucket of usual size lies in, for each bucket of the k-th table. */
function lookAhead(k: i32): void {
  const table = bounds + 8 * MOST_PROBES * k
  const end = table + 8 * probes
  const usual: usize = 2 * (usize(count) / usize(VALUES)) + LINE
  let seen: u32 = 0
  // Two lines a turn, and few steps for each: the processor waits for as many at once as it sees ahead.
  for (let line: usize = 0; line < usual; line += 2 * LINE) {
    const next = nexts + nextsEach * k + line
    for (let at = table; at < end; at += 8) {
      const bucket = next + 2 * usize(load<u32>(at))
      seen |= load<u32>(bucket) | load<u32>(bucket, LINE)
    }
  }
  touched = seen
}

/** Keeps of the k-th table's buckets the hashes whose next substring is near enough. */
function scan(k: i32, radius: i32, capacity: i32): void {
  const table = bounds + 8 * MOST_PROBES * k
  const next = nexts + nextsEach * k
  const own = ids + idsEach * k
  const wanted = i16x8.splat(i16(substring(query, k + 1)))
  const ones = i16x8.splat(-1)
  const none = i16x8.splat(0)
  for (let p = 0; p < probes; p++) {
    const begin = load<u32>(table + 8 * p)
    const end = load<u32>(table + 8 * p, 4)
    // As many bits as the pair may still have.
    const most = 2 * (radius / SUBSTRINGS) + 1 - popcnt<i32>(load<i32>(masks + 4 * p))
    for (let at = begin; at < end; at += LANES) {
      const from = next + 2 * usize(at)
      let a = v128.xor(v128.load(from), wanted)
      let b = v128.xor(v128.load(from, 16), wanted)
      let c = v128.xor(v128.load(from, 32), wanted)
      let d = v128.xor(v128.load(from, 48), wanted)
      // Each turn takes the lowest bit from each; nought is left of those that are near.
      for (let bit = 0; bit < most; bit++) {
        a = v128.and(a, i16x8.add(a, ones))
        b = v128.and(b, i16x8.add(b, ones))
        c = v128.and(c, i16x8.add(c, ones))
        d = v128.and(d, i16x8.add(d, ones))
      }
      const least = i16x8.min_u(i16x8.min_u(a, b), i16x8.min_u(c, d))
      if (i16x8.all_true(least)) continue
      let lanes =
        i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.eq(a, none), i16x8.eq(b, none))) |
        (i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.eq(c, none), i16x8.eq(d, none))) << 16)
      if (end - at < LANES) lanes &= (1 << (end - at)) - 1
      if (candidates > MOST_CANDIDATES - i32(LANES)) settle(radius, capacity)
      while (lanes != 0) {
        store<u32>(places + 4 * candidates, u32(own + 4 * usize(at + ctz<i32>(lanes))))
        candidates++
        lanes &= lanes - 1
      }
    }
  }
}

/** Looks at the hashes of all candidates, then compares them. */
function settle(radius: i32, capacity: i32): void {
  const bits = radius / SUBSTRINGS
  const q0 = load<u64>(query)
  const q1 = load<u64>(query, 8)
  const q2 = load<u64>(query, 16)
  const q3 = load<u64>(query, 24)
  const end = places + 4 * candidates
  let seen: u32 = 0
  for (let at = places; at < end; at += 4) seen |= load<u32>(hashes + HASH_BYTES * usize(load<u32>(load<u32>(at))))
  touched = seen
  for (let at = places; at < end; at += 4) {
    const place: usize = load<u32>(at)
    const id = load<u32>(place)
    const hash = hashes + HASH_BYTES * usize(id)
    const distance =
      i32(popcnt<u64>(load<u64>(hash) ^ q0)) +
      i32(popcnt<u64>(load<u64>(hash, 8) ^ q1)) +
      i32(popcnt<u64>(load<u64>(hash, 16) ^ q2)) +
      i32(popcnt<u64>(load<u64>(hash, 24) ^ q3))
    if (distance > radius || !isFirst(hash, i32((place - ids) / idsEach), bits)) continue
    if (hits < capacity) {
      store<u32>(found + 8 * usize(hits), id)
      store<u32>(found + 8 * usize(hits), distance, 4)
    }
    hits++
  }
  candidates = 0
}

/** Whether no table before the k-th finds this hash. */
function isFirst(hash: usize, k: i32, bits: i32): bool {
  let before = popcnt<u32>(substring(hash, 0) ^ substring(query, 0))
  for (let j = 0; j < k; j++) {
    const here = popcnt<u32>(substring(hash, j + 1) ^ substring(query, j + 1))
    if (before <= u32(bits) && before + here <= u32(2 * bits + 1)) return false
    before = here
  }
  return true
}
