// The mail that carries a TLS report: a sentence for people, and the compressed document. Pure; what the document says is made elsewhere.
// RFC 8460 5.3, RFC 6522.

import { encodeBase64Lines } from './encodings.ts';
import { foldHeader, formatDate, formatMessageId } from './headers.ts';

export type TlsReportMail = {
  /** Of the message. */
  readonly id: string;
  readonly hostname: string;
  readonly from: string;
  readonly to: string;
  /** The domain that the report is about. */
  readonly domain: string;
  /** `2026-11-24`, UTC. */
  readonly day: string;
  readonly reportId: string;
  readonly organization: string;
  readonly contact: string;
  readonly successful: number;
  readonly failed: number;
  /** The JSON document, gzip. */
  readonly compressed: Buffer;
  readonly nowMs: number;
  readonly boundary: string;
};

const DAY_SECONDS = 86_400;

/** The Subject and the Message-ID, for the queue. */
export function tlsReportFacts({ domain, hostname, reportId, id }: TlsReportMail): { readonly subject: string; readonly messageId: string } {
  return { subject: `Report Domain: ${domain} Submitter: ${hostname} Report-ID: <${reportId}>`, messageId: formatMessageId(id, hostname) };
}

/** The message, CRLF lines, ASCII. */
export function composeTlsReport(mail: TlsReportMail): Buffer {
  const { hostname, domain, day, organization, contact, successful, failed, compressed, boundary } = mail;
  const { subject, messageId } = tlsReportFacts(mail);
  const begin = Date.parse(`${day}T00:00:00Z`) / 1000;
  const file = `${hostname}!${domain}!${begin}!${begin + DAY_SECONDS - 1}.json.gz`;
  const header = [
    foldHeader('From', [`<${mail.from}>`]),
    foldHeader('To', [`<${mail.to}>`]),
    foldHeader('Subject', subject.split(' ')),
    foldHeader('Date', [formatDate(mail.nowMs)]),
    foldHeader('Message-ID', [messageId]),
    foldHeader('TLS-Report-Domain', [domain]),
    foldHeader('TLS-Report-Submitter', [hostname]),
    // Whatever is wrong with the TLS of the receiver is what the report tells of (RFC 8460 3).
    foldHeader('TLS-Required', ['No']),
    foldHeader('Auto-Submitted', ['auto-generated']),
    foldHeader('MIME-Version', ['1.0']),
    foldHeader('Content-Type', ['multipart/report;', 'report-type="tlsrpt";', `boundary="${boundary}"`]),
  ].join('');
  const text = [
    `This is an aggregate TLS report from ${ascii(organization)} (${hostname}) about mail to ${domain}`,
    `on ${day} (UTC): ${successful} sessions went well, ${failed} did not. The attachment has`,
    `the details (RFC 8460). Questions to ${ascii(contact)}.`,
  ].join('\r\n');
  return Buffer.from(
    `${header}\r\nThis is a report in MIME format.\r\n\r\n--${boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${text}\r\n` +
      `\r\n--${boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n filename="${file}"\r\n\r\n` +
      `${encodeBase64Lines(compressed)}\r\n--${boundary}--\r\n`,
  );
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, '?').slice(0, 200);
}
