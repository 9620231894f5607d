// Values of options that several commands take, and how a wrong one is refused: exit code 2, with what is allowed.

import { InvalidArgumentError } from 'commander';
import { PosternError } from '#base/failure.ts';
import { SCOPE_NAMES } from '#http/scopes.ts';
import type { Scope } from '#http/scopes.ts';

const MAX_PORT = 65_535;

/** The command was not given as it has to be. */
export function usage(cause: string, fix: string): PosternError {
  return new PosternError({ code: 'usage', cause, fix }, { exitCode: 2 });
}

/** A whole number from 1. */
export function parseNumber(option: string, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < 1 || number > most) throw usage(`${option} ${JSON.stringify(text)} is out of range.`, `Write a whole number from 1 to ${most}.`);
    return number;
  };
}

export function parseSeconds(option: string, most = 3600): (text: string) => number {
  return (text) => {
    const seconds = Number(text);
    if (!(seconds > 0 && seconds <= most)) throw usage(`${option} ${JSON.stringify(text)} is not a number of seconds.`, `Write a number from 1 to ${most}.`);
    return seconds;
  };
}

/** `least` 0: any that is free will do. */
export function parsePort(least: 0 | 1): (text: string) => number {
  return (text) => {
    const port = Number(text);
    if (!/^\d+$/.test(text) || port < least || port > MAX_PORT) throw usage(`--port ${JSON.stringify(text)} is not a port.`, `Write a number from ${least} to ${MAX_PORT}.`);
    return port;
  };
}

export function parsePorts(option: string, most: number): (text: string) => number[] {
  return (text) => {
    const ports = text.split(',').map((part) => Number(part.trim()));
    if (ports.length > most || ports.some((port) => !Number.isInteger(port) || port < 1 || port > MAX_PORT))
      throw usage(`${option} ${JSON.stringify(text)} is no list of ports.`, `Write up to ${most} ports with commas, for example 25,465,587,2525.`);
    return [...new Set(ports)];
  };
}

/** For an option that may be given again and again. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function collectScope(value: string, before: readonly Scope[] | undefined): Scope[] {
  const scope = SCOPE_NAMES.find((name) => name === value);
  if (scope === undefined) throw new InvalidArgumentError(`It is one of: ${SCOPE_NAMES.join(', ')}.`);
  return [...(before ?? []), scope];
}
