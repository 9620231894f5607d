// A message that is looked at is somebody else's: whatever it holds, it is taken apart at once and its look can do nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disarm, takeApart } from '#mail/content.ts';

function mailOf(html: string, head = ''): Buffer {
  return Buffer.from(`From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n${head}Content-Type: text/html\r\n\r\n${html}\r\n`);
}

// Each takes minutes, and all of the thread that answers requests, with patterns that try every way to read it.
test('a million openings without an end, and a million spaces, are read in one go', async () => {
  assert.doesNotMatch(disarm('<script '.repeat(125_000)), /<script/i);
  assert.doesNotMatch(disarm('<object><iframe '.repeat(60_000)), /<iframe|<object/i);
  for (const start of ['<img src=', '<style>x{background:url(', '<style>@import ']) {
    const { remote } = await takeApart(mailOf(`${start}${' '.repeat(1_000_000)}`));
    assert.equal(remote, 0);
  }
});

test('references elsewhere are counted however they are written', async () => {
  const html = `<img src="https://a.example/1"><img src= ' //a.example/2'><style>@import "http://a.example/3"; x{background:url( //a.example/4)}</style>`;
  assert.equal((await takeApart(mailOf(html))).remote, 4);
});

test('elements go with what is in them, and the rest stays', () => {
  const look = disarm('a<script>1</SCRIPT >b<template>2<p>3</template>c<iframe src=x>d<b onclick=x>e</b>');
  assert.match(look, /<body>abcd<b>e<\/b><\/body>/);
});

test('a document that forms new elements again and again is shown as text', () => {
  const nested = `${'<li'.repeat(9)}<link>${'nk>'.repeat(8)}nk rel=preconnect href=//spy.example>`;
  assert.doesNotMatch(disarm(nested), /<link/i);
});

test('the name of an attachment that is cut in the middle of a character is still a name', async () => {
  const name = `${'a'.repeat(199)}\u{1F600}.txt`;
  const mail = Buffer.from(`From: a@example.com\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename*=utf-8''${encodeURIComponent(name)}\r\n\r\nx\r\n`);
  const [part] = (await takeApart(mail)).attachments;
  assert.ok(part !== undefined && part.name.startsWith('aaa'));
  assert.doesNotThrow(() => encodeURIComponent(part.name));
});
