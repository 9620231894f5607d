// A field of a search: asks when it is left or Enter is pressed, not at every letter.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { TextField } from './form.tsx';

type Props = { readonly label: string; readonly placeholder: string; readonly value: string; readonly onDone: (text: string) => void };

export function SearchField({ value, onDone, ...rest }: Props): ReactNode {
  const [text, setText] = useState(value);
  const [last, setLast] = useState(value);
  // It was changed from elsewhere: "clear", or the way back.
  if (value !== last) {
    setLast(value);
    setText(value);
  }
  const done = (): void => {
    if (text.trim() !== value) onDone(text.trim());
  };
  return (
    <TextField
      {...rest}
      type="search"
      value={text}
      onChange={(event) => setText(event.target.value)}
      onBlur={done}
      onKeyDown={(event) => {
        if (event.key === 'Enter') done();
      }}
    />
  );
}
