import sharp, { type Sharp } from 'sharp'
import { photograph, photographs } from '../../integration/items.ts'
import { animatedPng } from '../inspect-made.ts'
import { drawing, image } from './drawings.ts'
import { exif, jpegSegment, pageOf, pngChunk, tiff, withChunks, withSegments } from './parts.ts'

/** Files as cameras, drawing programs and sites make them, each to be cleared. */
export async function ordinaryFiles(): Promise<{ name: string; bytes: Buffer }[]> {
  const source = () => sharp(photograph('airplane-from-above')).resize(320)
  const png = await source().png().toBuffer()
  const other = await sharp(photograph('nagasaki-boats'))
    .resize(320)
    .extract({ left: 0, top: 0, width: 320, height: 200 })
    .png()
    .toBuffer()
  const same = await sharp(png).extract({ left: 0, top: 0, width: 320, height: 200 }).png().toBuffer()
  const jpeg = await source().jpeg().toBuffer()
  const thumbnail = await source().resize(160).jpeg().toBuffer()
  const withThumbnail = jpegSegment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), exif(thumbnail)]))
  const packet = Buffer.from(
    `http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/>${' '.repeat(2000)}</x:xmpmeta>`,
  )
  const made: Record<string, Sharp> = {
    'progressive jpeg': source().jpeg({ progressive: true }),
    'jpeg of full colour resolution': source().jpeg({ chromaSubsampling: '4:4:4', mozjpeg: true }),
    'grey jpeg': source().greyscale().jpeg(),
    'CMYK jpeg': source().toColourspace('cmyk').jpeg(),
    'jpeg with a wide profile': source().withIccProfile('p3').jpeg(),
    'jpeg with exif, xmp and profile': source()
      .withExif({ IFD0: { Copyright: 'nobody' } })
      .withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
      .withIccProfile('srgb')
      .jpeg(),
    'interlaced png': source().png({ progressive: true }),
    'palette png': source().png({ palette: true }),
    'png of 16 bits': source().toColourspace('rgb16').png(),
    'transparent png': source().ensureAlpha(0.5).png(),
    'png with a profile': source().withIccProfile('srgb').png(),
    webp: source().webp(),
    'webp without loss': source().webp({ lossless: true }),
    'webp with alpha, exif and profile': source()
      .ensureAlpha(0.5)
      .withExif({ IFD0: { Copyright: 'nobody' } })
      .withIccProfile('p3')
      .webp(),
    gif: source().gif(),
    avif: source().avif({ effort: 1 }),
    'avif with alpha': source().ensureAlpha(0.5).avif({ effort: 1 }),
    'avif of 10 bits': source().avif({ effort: 1, bitdepth: 10 }),
    'avif with exif, xmp and profile': source()
      .withExif({ IFD0: { Copyright: 'nobody' } })
      .withXmp('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
      .withIccProfile('p3')
      .avif({ effort: 1 }),
    'avif of full colour resolution, without loss': source().avif({
      effort: 0,
      lossless: true,
      chromaSubsampling: '4:4:4',
    }),
    tiff: source().tiff(),
    'tiff of LZW': source().tiff({ compression: 'lzw', predictor: 'horizontal' }),
    'tiff of deflate in tiles': source().tiff({ compression: 'deflate', tile: true, tileWidth: 64, tileHeight: 64 }),
    'tiff of jpeg': source().tiff({ compression: 'jpeg' }),
    'tiff of 16 bits': source().toColourspace('rgb16').tiff(),
    'tiff of one bit': source().threshold().toColourspace('b-w').tiff({ bitdepth: 1, compression: 'ccittfax4' }),
    'tiff with alpha, profile and exif': source()
      .ensureAlpha(0.5)
      .withExif({ IFD0: { Copyright: 'nobody' } })
      .withIccProfile('p3')
      .tiff({ compression: 'deflate' }),
    'tiff in steps of size': source().tiff({ pyramid: true, tile: true, compression: 'deflate' }),
  }
  const files = Object.entries(made).map(async ([name, picture]) => ({ name, bytes: await picture.toBuffer() }))
  const others: Record<string, Buffer> = {
    'jpeg with an exif thumbnail': withSegments(jpeg, withThumbnail),
    'jpeg with xmp, a comment and zeros at its end': Buffer.concat([
      withSegments(jpeg, jpegSegment(0xe1, packet), jpegSegment(0xfe, Buffer.from('made by hand'))),
      Buffer.alloc(4096),
    ]),
    'jpeg with a preview behind it': Buffer.concat([jpeg, thumbnail]),
    'jpeg with a line end behind it': Buffer.concat([jpeg, Buffer.from('\r\n')]),
    'png with a text, a density and a gamma': withChunks(
      png,
      pngChunk('gAMA', Buffer.from([0, 0, 0xb1, 0x8f])),
      pngChunk('tEXt', Buffer.from('Software\0some drawing program')),
    ),
    'png with a line end behind it': Buffer.concat([png, Buffer.from('\n')]),
    'animated gif': await sharp([same, other], { join: { animated: true } })
      .gif()
      .toBuffer(),
    'animated webp': await sharp([same, other], { join: { animated: true } })
      .webp()
      .toBuffer(),
    apng: animatedPng([same, other]),
    'tiff of two pages': tiff([await pageOf(same), await pageOf(png)]),
    ...drawings(png),
  }
  return [
    ...photographs.map((name) => ({ name, bytes: photograph(name) })),
    ...(await Promise.all(files)),
    ...Object.entries(others).map(([name, bytes]) => ({ name, bytes })),
  ]
}

/** As drawing programs write them. */
function drawings(png: Buffer): Record<string, Buffer> {
  const shapes =
    '<path class="st0" d="M10,10 L200,20 q5-5,10.5,3e1z"/><circle cx="120" cy="90" r="40" style="fill:url(#g);stroke:#000000;stroke-width:2px"/>'
  const gradient =
    '<defs><linearGradient id="g" x2="1" gradientUnits="objectBoundingBox"><stop offset="0" stop-color="#fff"/><stop offset="1" style="stop-color:rgb(10, 20, 30);stop-opacity:0.5"/></linearGradient></defs>'
  const doctype =
    '<?xml version="1.0" encoding="utf-8"?>\n<!-- Generator: some program -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
  const notes =
    '<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:li>a &amp; b</rdf:li></rdf:RDF></metadata><title>A drawing</title>'
  return {
    'svg of one program': drawing(
      `${gradient}<style type="text/css">\n\t.st0{fill:#EA4335;}\n\t.st1, .st2 {fill:none;stroke:#000;}\n</style>${shapes}`,
      {
        prolog: doctype,
        attributes:
          'version="1.1" id="Layer_1" x="0px" y="0px" viewBox="0 0 256 192" style="enable-background:new 0 0 256 192;" xml:space="preserve"',
      },
    ),
    'svg of another program': drawing(
      `${notes}${gradient}<g id="layer1" transform="translate(4.5,-3)" xmlns:ink="http://www.inkscape.org/namespaces/inkscape" ink:label="Layer 1">${shapes}<use xlink:href="#layer2"/></g><g id="layer2"><rect width="20" height="9" rx="2" fill-rule="evenodd"/></g>`,
      { attributes: 'width="256" height="192"' },
    ),
    'svg of an icon': drawing('<path fill="currentColor" d="M12 2 4.5 20.29l.71.71L12 18l6.79 3 .71-.71z"/>', {
      attributes: 'width="24" height="24" viewBox="0 0 24 24" fill="none" role="img" aria-hidden="true"',
    }),
    'svg with an image': drawing(image('png', png, 'preserveAspectRatio="none"')),
  }
}
