export type WindowLimits = {
  /** messages that may be accepted and not yet written */
  items: number
  /** bytes of payload that may be accepted and not yet written; one larger payload alone is let in */
  bytes: number
  /** messages in one batch */
  batchItems: number
  /** bytes of messages in one batch; one larger message goes alone */
  batchBytes: number
  /** how long the first message of a quiet time waits for others, ms */
  lingerMs: number
}

export type Prepared<Message> = { message: Message; bytes: number }

type Slot<Message, Written> = {
  weight: number
  prepared: Promise<Prepared<Message>>
  written: PromiseWithResolvers<Written>
}

/**
 * Sends messages in the order in which they were put, one batch at a time, and holds callers back while too much is under
 * way. When a batch fails, so does everything that was accepted behind it: nothing overtakes a message that its caller
 * will have to put again.
 * @param send writes a batch and tells for each message, in order, what became of it
 */
export function createSendWindow<Message, Written>(
  limits: WindowLimits,
  send: (batch: Message[]) => Promise<Written[]>,
) {
  const queue: Slot<Message, Written>[] = []
  const waiting: { weight: number; admit: () => void }[] = []
  const outstanding = new Set<Promise<unknown>>()
  let items = 0
  let bytes = 0
  let draining = false
  let failure: unknown = null

  function fits(weight: number): boolean {
    return items === 0 || (items < limits.items && bytes + weight <= limits.bytes)
  }

  function take(weight: number): void {
    items++
    bytes += weight
  }

  function giveBack(slot: Slot<Message, Written>): void {
    items--
    bytes -= slot.weight
    for (let next = waiting[0]; next !== undefined && fits(next.weight); next = waiting[0]) {
      waiting.shift()
      take(next.weight)
      next.admit()
    }
  }

  async function waitForRoom(weight: number): Promise<void> {
    if (waiting.length === 0 && fits(weight)) return take(weight)
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push({ weight, admit: resolve })
    await promise
  }

  async function nextBatch(): Promise<{ slots: Slot<Message, Written>[]; messages: Message[] }> {
    const slots: Slot<Message, Written>[] = []
    const messages: Message[] = []
    let total = 0
    for (let slot = queue[0]; slot !== undefined && slots.length < limits.batchItems; slot = queue[0]) {
      // A message that can't be made was reported to the one who put it.
      const ready = await slot.prepared.catch(() => null)
      if (ready !== null && slots.length > 0 && total + ready.bytes > limits.batchBytes) break
      queue.shift()
      if (ready === null) {
        giveBack(slot)
        continue
      }
      slots.push(slot)
      messages.push(ready.message)
      total += ready.bytes
    }
    return { slots, messages }
  }

  async function drain(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, limits.lingerMs))
    while (queue.length > 0) {
      const { slots, messages } = await nextBatch()
      if (slots.length === 0) continue
      try {
        const results = await send(messages)
        for (const [at, { written }] of slots.entries()) {
          const result = results[at]
          if (result === undefined) throw new TypeError('a batch came back with fewer results than messages')
          written.resolve(result)
        }
      } catch (error) {
        failure ??= error
        slots.push(...queue.splice(0))
        for (const { written } of slots) written.reject(error)
      }
      for (const slot of slots) giveBack(slot)
    }
    draining = false
  }

  async function enter(
    weight: number,
    prepare: () => Promise<Prepared<Message>>,
    written: PromiseWithResolvers<Written>,
  ): Promise<Prepared<Message>> {
    await waitForRoom(weight)
    const slot = { weight, prepared: prepare(), written }
    queue.push(slot)
    if (!draining) {
      draining = true
      void drain()
    }
    return await slot.prepared
  }

  return {
    /**
     * Puts one message in line.
     * @param weight bytes that it holds in memory until it is written
     * @param prepare makes the message, once there is room for it
     * @returns when there was room and the message is made; `written` settles when it is sent, or can't be
     */
    async put(weight: number, prepare: () => Promise<Prepared<Message>>): Promise<{ written: Promise<Written> }> {
      const written = Promise.withResolvers<Written>()
      // Failures also come out of flush(), so nobody is forced to look at each promise.
      written.promise.catch(() => undefined)
      const entered = enter(weight, prepare, written)
      const done: Promise<unknown> = entered.then(() => written.promise).catch(() => undefined)
      outstanding.add(done)
      void done.then(() => outstanding.delete(done))
      await entered
      return { written: written.promise }
    },

    /**
     * Resolves when everything put before this call is settled.
     * @throws the first failure to send since the last flush
     */
    async flush(): Promise<void> {
      await Promise.all(outstanding)
      if (failure === null) return
      const first = failure
      failure = null
      throw first
    },
  }
}
