import { deflateSync, gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { found, type HostileFile, held, type Pair } from './file.ts'

const start = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'

/** An SVG of 256 by 192. */
export function drawing(inside: string, { prolog = '', attributes = 'viewBox="0 0 256 192"' } = {}): Buffer {
  return Buffer.from(`${prolog}<svg ${start} ${attributes}>${inside}</svg>`)
}

const dataUrl = (type: string, bytes: Buffer) => `data:image/${type};base64,${bytes.toString('base64')}`
export const image = (type: string, bytes: Buffer, more = '') =>
  `<image href="${dataUrl(type, bytes)}" width="256" height="192" ${more}/>`

/** The picture drawn by rectangles alone. */
async function mosaic(picture: Buffer): Promise<string> {
  const [width, height] = [64, 48]
  const { data } = await sharp(picture)
    .resize(width, height, { fit: 'fill' })
    .raw()
    .toBuffer({ resolveWithObject: true })
  return Array.from({ length: width * height }, (_, i) => {
    const colour = data.toString('hex', i * 3, i * 3 + 3)
    return `<rect x="${(i % width) * 4}" y="${Math.floor(i / width) * 4}" width="4" height="4" fill="#${colour}"/>`
  }).join('')
}

/** SVGs that show the known picture to some viewers at some time, or that attack what reads them. */
export async function hostileDrawings({ known, innocent }: Pair): Promise<HostileFile[]> {
  const tiles = await mosaic(known)
  const harmless = '<rect width="256" height="192" fill="#8ac"/><circle cx="90" cy="80" r="50" fill="#fd0"/>'
  const bad = image('png', known)
  const good = image('png', innocent)
  const jpeg = await sharp(known).jpeg({ quality: 90 }).toBuffer()
  const laughs = Array.from({ length: 10 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('')
  const uses = Array.from({ length: 12 }, (_, i) => `<g id="u${i + 1}">${`<use href="#u${i}"/>`.repeat(10)}</g>`).join(
    '',
  )
  const hold: Record<string, Buffer> = {
    'entities that laugh': drawing('<text>&l10;</text>', { prolog: `<!DOCTYPE svg [<!ENTITY l0 "lol">${laughs}]>` }),
    'entity that makes the picture': drawing('&p;', {
      prolog: `<!DOCTYPE svg [<!ENTITY p '${tiles.replaceAll("'", '"')}'>]>`,
    }),
    'entity from a file': drawing('<text>&f;</text>', {
      prolog: '<!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/hostname">]>',
    }),
    'entity from the network': drawing('&f;', {
      prolog: '<!DOCTYPE svg [<!ENTITY % f SYSTEM "http://127.0.0.1:9/x"> %f;]>',
    }),
    'style sheet from the network': drawing(harmless, { prolog: '<?xml-stylesheet href="http://127.0.0.1:9/x.css"?>' }),
    'image from a file': drawing(`${harmless}<image href="file:///etc/hostname" width="256" height="192"/>`),
    'image from the network': drawing(
      `${harmless}<image xlink:href="http://127.0.0.1:9/a.png" width="256" height="192"/>`,
    ),
    'image by a relative name': drawing(`${harmless}<image href="a.png" width="256" height="192"/>`),
    'image that is an svg': drawing(
      `<image href="data:image/svg+xml;base64,${drawing(tiles).toString('base64')}" width="9" height="9"/>`,
    ),
    'image that is none': drawing(image('png', Buffer.from('no picture at all'))),
    'shape from the network': drawing(`${harmless}<use href="http://127.0.0.1:9/a.svg#a"/>`),
    'fill from the network': drawing('<rect width="256" height="192" fill="url(http://127.0.0.1:9/a.svg#a)"/>'),
    script: drawing(`${harmless}<script>document.documentElement.remove()</script>`),
    'script of another prefix': drawing(`${harmless}<s:script xmlns:s="http://www.w3.org/2000/svg">1</s:script>`),
    'event handler': drawing(harmless, { attributes: 'viewBox="0 0 256 192" onload="go()"' }),
    'foreign object': drawing(
      `${harmless}<foreignObject width="9" height="9"><img xmlns="http://www.w3.org/1999/xhtml" src="x"/></foreignObject>`,
    ),
    'html of another prefix': drawing(`${harmless}<h:img xmlns:h="http://www.w3.org/1999/xhtml" src="x"/>`),
    animation: drawing(`<g opacity="0">${tiles}<animate attributeName="opacity" to="1" dur="1s"/></g>${harmless}`),
    set: drawing(`${harmless}<set attributeName="href" to="x"/>`),
    'switch by language': drawing(`<switch><g systemLanguage="de">${tiles}</g><g>${harmless}</g></switch>`),
    'language without a switch': drawing(`<g systemLanguage="de">${tiles}</g>`),
    'media query': drawing(
      `<style>@media (min-width: 9px) { .a { display: none } }</style>${tiles}<g class="a">${harmless}</g>`,
    ),
    state: drawing(`<style>.a:hover { display: none }</style>${tiles}<g class="a">${harmless}</g>`),
    'background by style': drawing(
      `<rect width="256" height="192" style="background-image:url(${dataUrl('png', known)})"/>`,
    ),
    import: drawing('<style>@import url(http://127.0.0.1:9/x.css);</style>'),
    'escaped style': drawing('<rect width="256" height="192" style="fill:\\75rl(x)"/>'),
    variable: drawing('<rect width="256" height="192" style="fill:var(--x, red)"/>'),
    'animated style': drawing('<style>.a { animation: x 1s } </style><rect class="a" width="256" height="192"/>'),
    text: drawing(`<text font-size="3">${'\u2588'.repeat(100)}</text>`),
    filter: drawing(
      `<filter id="f"><feImage href="${dataUrl('png', known)}"/></filter><rect width="256" height="192" filter="url(#f)"/>`,
    ),
    'no view box': drawing(tiles, { attributes: 'width="100%"' }),
    'picture beside the view box': drawing(`${harmless}<g transform="translate(256 0)">${tiles}</g>`),
    'picture below the view box': drawing(`${harmless}<g transform="translate(0 192)">${tiles}</g>`),
    'huge viewport': drawing(tiles, { attributes: 'width="1000000" height="1000000" viewBox="0 0 256 192"' }),
    'shapes that multiply': drawing(`<defs><rect id="u0" width="1" height="1"/>${uses}</defs><use href="#u12"/>`),
    'shape within itself': drawing('<g id="a"><use href="#a"/><rect width="9" height="9"/></g>'),
    'another encoding': drawing(harmless, { prolog: '<?xml version="1.0" encoding="utf-7"?>' }),
    'no end': drawing(harmless).subarray(0, -4),
    'something after the end': Buffer.concat([drawing(harmless), Buffer.from('<html><body>more</body></html>')]),
    compressed: gzipSync(drawing(tiles)),
    'compressed otherwise': deflateSync(drawing(tiles)),
    'in UTF-16': Buffer.from(`\ufeff${drawing(tiles)}`, 'utf16le'),
  }
  const show: Record<string, Buffer> = {
    rectangles: drawing(tiles),
    'rectangles with a width and a height': drawing(tiles, {
      attributes: 'width="64" height="48" viewBox="0 0 256 192"',
    }),
    'an image': drawing(bad),
    'an image below others': drawing(bad + harmless + good),
    'an image that is not shown': drawing(`<g display="none">${bad}</g>${good}`),
    'an image of a pixel': drawing(`${harmless}${bad.replace('width="256"', 'width="1"')}`),
    'an image that is clipped': drawing(
      `<clipPath id="c"><rect width="64" height="64"/></clipPath><g clip-path="url(#c)">${bad}</g>${good}`,
    ),
    'an image in a pattern': drawing(`<pattern id="p" width="1" height="1">${bad}</pattern>${harmless}`),
    'an image in lines': drawing(image('jpeg', jpeg).replaceAll(/[\w+/]{76}/g, '$&\n')),
    'an image behind character references': drawing(bad.replace('data:', '&#100;ata:')),
    'an image whose type is a lie': drawing(image('png', jpeg)),
    'an animated image': drawing(
      image(
        'gif',
        await sharp([innocent, known], { join: { animated: true } })
          .gif()
          .toBuffer(),
      ),
    ),
  }
  return [
    ...Object.entries(hold).map(([name, bytes]) => held(`svg, ${name}`, bytes)),
    ...Object.entries(show).map(([name, bytes]) => found(`svg, ${name}`, bytes)),
  ]
}
