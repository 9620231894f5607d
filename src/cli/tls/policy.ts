// `postern tls policy`: what delivery to a domain would require of each of its mail hosts, and the evidence. Text only; the server looks it up.

import { openApi } from '#cli/api.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { TlsPolicyView } from '#http/routes/tls.ts';

export type PolicyOptions = { readonly requiretls?: boolean; readonly tlsOptional?: boolean };

const MAX_CHARACTERS = 160;

/** Shows it. Exit code 1 when no mail host could be used. */
export async function showPolicy(cli: Cli, domain: string, options: PolicyOptions): Promise<void> {
  const demand = options.requiretls === true ? 'requiretls' : options.tlsOptional === true ? 'tls-optional' : 'policy';
  const view = await openApi({ dataDir: cli.dataDir() }).tlsPolicy(domain, demand);
  const stuck = view.refusal !== null || (view.hosts.length > 0 && view.hosts.every((host) => host.refused !== null));
  if (stuck) process.exitCode = 1;
  if (cli.json) return cli.out.json(view);
  cli.out.text([...headLines(view), ...view.hosts.flatMap(hostLines)].join('\n'));
}

function headLines(view: TlsPolicyView): string[] {
  const { domain, route, mx, mtaSts, configured, refusal, demand } = view;
  const lines = [`domain      ${domain}`, `route       ${route.type}${route.name === route.type ? '' : ` (${route.name})`}`];
  if (demand !== 'policy') lines.push(`message     ${demand === 'requiretls' ? 'sent with REQUIRETLS' : 'says TLS-Required: No'}`);
  if (route.type === 'smarthost') return [...lines, 'required    verified TLS, always: it is an upstream relay'];
  if (route.type !== 'mx') return [...lines, 'required    nothing: mail for it does not go to other servers'];
  if (mx !== null) lines.push(`MX records  ${mx.dnssec ? 'validated by DNSSEC' : 'not validated by DNSSEC'}`);
  lines.push(`MTA-STS     ${stsText(mtaSts)}`);
  if (configured !== null)
    lines.push(
      `configured  [[tls_policy]] match = "${configured.match}", require = "${configured.require}"${configured.names.length === 0 ? '' : `, names ${configured.names.join(' ')}`}`,
    );
  if (mx !== null) lines.push(`lane        ${mx.lane}`);
  if (refusal !== null) lines.push('', `No mail can be delivered (${refusal.class}).`, `cause       ${refusal.cause}`, `fix         ${refusal.fix}`);
  return lines;
}

function stsText(sts: TlsPolicyView['mtaSts']): string {
  if (sts.status !== 'policy') return sts.status === 'none' ? `none: ${sts.why}` : `${sts.result}: ${sts.why}`;
  const { policy, id, fetchedAt, expiresAt, stale } = sts;
  const hosts = policy.mx.length === 0 ? '' : `, for ${policy.mx.join(' ')}`;
  return `${policy.mode}${hosts}; policy id ${id}, fetched ${dateText(fetchedAt)}, holds until ${dateText(expiresAt)}${stale === null ? '' : ` (not refreshed: ${stale})`}`;
}

function hostLines({ host, preference, policy, why, required, names, tlsa, refused }: TlsPolicyView['hosts'][number]): string[] {
  const lines = ['', `${String(preference).padEnd(5)} ${host}`, `  policy    ${policy}: ${why}`];
  if (refused !== null) lines.push(`  required  the host is not used (${refused.class})`, `  cause     ${refused.cause}`, `  fix       ${refused.fix}`);
  else
    lines.push(`  required  ${required}${names.length === 0 ? '' : required === 'verified' ? ` for ${names.join(' or ')}` : `; below a trust anchor, for ${names.join(' or ')}`}`);
  if (tlsa.name !== null) lines.push(`  TLSA at   ${tlsa.name} (${tlsa.status})`);
  for (const record of tlsa.records) lines.push(`  record    ${shown(record)}`);
  for (const { record, why: reason } of tlsa.ignored) lines.push(`  ignored   ${shown(record)}: ${reason}`);
  return lines;
}

/** Whole certificates stand in some records. */
function shown(record: string): string {
  return record.length <= MAX_CHARACTERS ? record : `${record.slice(0, MAX_CHARACTERS)}...`;
}
