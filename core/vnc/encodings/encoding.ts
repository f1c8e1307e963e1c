/** Numbers of RFB encodings and what a rectangle encoder is. */
import type { CompressionService, Deflater } from '../../util/compression.ts';
import type { ByteWriter } from '../byte-writer.ts';
import type { PixelTranslator } from '../pixel-format.ts';

export const ENCODING = {
  raw: 0,
  copyRect: 1,
  hextile: 5,
  tight: 7,
  zrle: 16,
  desktopSize: -223,
  cursor: -239,
  pointerTypeChange: -257,
  extendedKeyEvent: -258,
  ledState: -261,
  extendedDesktopSize: -308,
  alphaCursor: -314,
  /** First and last of ten compression levels. */
  compressLevel0: -256,
  compressLevel9: -247,
} as const;

/** Zlib streams of one client: they live as long as the connection. */
export class ClientStreams {
  readonly #service: CompressionService;
  readonly #streams = new Map<string, Deflater>();
  level = 1;

  constructor(service: CompressionService) {
    this.#service = service;
  }
  deflate(stream: string, bytes: Uint8Array): Uint8Array {
    let deflater = this.#streams.get(stream);
    if (!deflater) {
      deflater = this.#service.createDeflater(this.level);
      this.#streams.set(stream, deflater);
    }
    return deflater.deflate(bytes);
  }
}

/** Pixels to encode: translated values, row by row. */
export interface PixelBlock {
  readonly values: Uint32Array;
  readonly width: number;
  readonly height: number;
}

export interface EncoderContext {
  readonly translator: PixelTranslator;
  readonly streams: ClientStreams;
  readonly out: ByteWriter;
  /** For building what is compressed afterwards. */
  readonly scratch: ByteWriter;
}

/** Appends the encoded pixels to `context.out`, without the rectangle's header. */
export type RectEncoder = (block: PixelBlock, context: EncoderContext) => void;
