// The directory: credentials and domains. Portable SQL in a database of its own (directory.db); written by the main thread,
// read by the workers, who keep what they read until the generation counter moves.

import type { ScramKeys } from '#smtp/policy.ts';

/** A credential as kept: never the password, only what verifies it. `secretHash` is SHA-256 of the generated 160-bit password. */
export type Credential = {
  readonly name: string;
  readonly username: string;
  readonly domains: readonly string[];
  readonly mode: 'sandbox' | 'live';
  readonly allowIps: readonly string[];
  /** Messages (recipients) an hour; null: no limit. */
  readonly ratePerHour: number | null;
  readonly createdAtMs: number;
  readonly rotatedAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
  readonly secretHash: Buffer;
  readonly scram: ScramKeys;
};

export type NewCredential = { readonly name: string; readonly domains: readonly string[]; readonly mode: 'sandbox' | 'live'; readonly allowIps: readonly string[]; readonly ratePerHour: number | null };

export type Domain = { readonly name: string; readonly inbound: boolean; readonly createdAtMs: number };

/** What workers read. */
export type DirectoryReader = {
  /** By username, exact; revoked ones are not found. */
  credential(username: string): Promise<Credential | null>;
  domain(name: string): Promise<Domain | null>;
  domains(): Promise<readonly Domain[]>;
};

/** What the main thread adds. Every change moves the generation. */
export type Directory = DirectoryReader & {
  credentials(): Promise<readonly Credential[]>;
  /** The password is in this answer and nowhere else. Rejects with PosternError `credential-exists`, exit code 1. */
  addCredential(credential: NewCredential): Promise<{ readonly credential: Credential; readonly password: string }>;
  revokeCredential(name: string): Promise<boolean>;
  rotateCredential(name: string): Promise<{ readonly credential: Credential; readonly password: string } | null>;
  used(name: string, atMs: number): Promise<void>;
  addDomain(domain: { name: string; inbound: boolean }): Promise<Domain>;
  removeDomain(name: string): Promise<boolean>;
  close(): void;
};
