// What a list is asked for, as SQL: a condition for each part of the filter that is there. Values travel beside the text, never in it.

export type Value = string | number;

export class Conditions {
  readonly #where: string[] = ['1'];
  readonly values: Value[] = [];

  /** `sql` has one `?` for the value; nothing is added for what is not asked. */
  add(sql: string, value: Value | undefined): void {
    if (value === undefined) return;
    this.#where.push(sql);
    this.values.push(value);
  }

  /** One without a value. */
  also(sql: string): void {
    this.#where.push(sql);
  }

  /** What stands behind WHERE. */
  get sql(): string {
    return this.#where.join(' AND ');
  }
}
