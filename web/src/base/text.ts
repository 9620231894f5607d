// How things are said: numbers, sizes, spans and points in time, in the reader's own zone.

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
const NUMBER = new Intl.NumberFormat('en');
const SHORT_NUMBER = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const DATE_TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

export const count = (value: number): string => (value < 100_000 ? NUMBER.format(value) : SHORT_NUMBER.format(value));
export const dateTime = (iso: string): string => DATE_TIME.format(new Date(iso));
export const timeOfDay = (iso: string | number): string => TIME.format(new Date(iso));

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** With its language, unless the name says it. */
export function libraryName({ name, language }: { readonly name: string; readonly language: string }): string {
  return name.includes(language) ? name : `${name} (${language})`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} KB`;
  return `${(bytes / 1_000_000).toFixed(bytes < 10_000_000 ? 1 : 0)} MB`;
}

export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${(ms / 3_600_000).toFixed(ms < 36_000_000 ? 1 : 0)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** `3 min ago`, `in 2 hr`. */
export function ago(iso: string, nowMs: number): string {
  const seconds = (Date.parse(iso) - nowMs) / 1000;
  const distance = Math.abs(seconds);
  if (distance < 5) return 'now';
  if (distance < 60) return RELATIVE.format(Math.round(seconds), 'second');
  if (distance < 3600) return RELATIVE.format(Math.round(seconds / 60), 'minute');
  if (distance < 86_400) return RELATIVE.format(Math.round(seconds / 3600), 'hour');
  return RELATIVE.format(Math.round(seconds / 86_400), 'day');
}
