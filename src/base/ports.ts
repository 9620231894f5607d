// What the number of a port says about how it is spoken to.

/** From here up the kernel gives ports to whoever asks for any: their digits mean nothing. */
const DRAWN_FROM = 32_768;

/** Whether TLS begins with the first byte there (RFC 8314): on 465, and on ports made after it (2465, 8465, 10465), as providers and Postern have them. */
export function isImplicitTlsPort(port: number): boolean {
  return isMadeAfter(port, 465);
}

/** Whether this is the well-known port, or one that stands for it where it is not to be had: 587 and 10587. */
export function isMadeAfter(port: number, known: 25 | 465 | 587): boolean {
  return port % 1000 === known && port < DRAWN_FROM;
}
