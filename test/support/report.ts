// A delivery report as another program reads it: Python's email package, which knows nothing of ours.
// Needs: python3

import { run } from './temp.ts';

const READ = `
import email, email.policy, email.utils, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
def fields(part): return {name.lower(): str(value) for name, value in part.items()}
def part(one):
    out = {'type': one.get_content_type(), 'charset': one.get_content_charset(), 'encoding': (one['content-transfer-encoding'] or '').lower()}
    if one.get_content_type() in ('message/delivery-status', 'message/global-delivery-status'):
        blocks = one.get_payload()
        if one.get_content_type() == 'message/global-delivery-status':
            # Taken for a message by this parser: the first block is its header, the others its body.
            rest = blocks[0].get_payload(decode=True).decode('utf-8').replace('\\r\\n', '\\n').strip()
            blocks = [blocks[0]] + [email.message_from_string(text, policy=email.policy.default) for text in rest.split('\\n\\n')]
        out['fields'] = [fields(block) for block in blocks if len(block.items())]
    elif one.is_multipart():
        out['text'] = one.get_payload(0).as_string()
    else:
        out['text'] = one.get_payload(decode=True).decode('utf-8', 'replace')
    return out
# message/global-headers in quoted-printable (RFC 6533 6.2) is more than this parser knows.
defects = [str(type(d).__name__) for one in [message, *message.get_payload()] for p in ([one] if one is message else [] if one.get_content_type().startswith('message/global') else one.walk()) for d in p.defects]
json.dump({'header': fields(message), 'type': message.get_content_type(), 'report': message.get_param('report-type'), 'date': email.utils.parsedate_to_datetime(message['date']).timestamp(), 'defects': defects, 'parts': [part(p) for p in message.get_payload()]}, sys.stdout)
`;

export type Part = {
  readonly type: string;
  readonly charset: string | null;
  readonly encoding: string;
  readonly text?: string;
  readonly fields?: readonly Readonly<Record<string, string>>[];
};
export type Report = {
  readonly header: Readonly<Record<string, string>>;
  readonly type: string;
  readonly report: string;
  readonly date: number;
  /** What the parser complains of. */
  readonly defects: readonly string[];
  readonly parts: readonly Part[];
};

export async function readReport(content: Buffer): Promise<Report> {
  const done = await run('/usr/bin/python3', ['-c', READ], { input: content });
  if (done.code !== 0) throw new Error(done.stderr);
  return JSON.parse(Buffer.from(done.stdout, 'latin1').toString('utf8')) as Report;
}
