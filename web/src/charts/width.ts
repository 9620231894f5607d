// How wide a chart may be drawn: in the pixels that are there, so that its letters keep their size on a narrow screen.

import { useLayoutEffect, useRef, useState } from 'react';
import type { RefObject } from 'react';

export function useWidth(firstPx: number): readonly [RefObject<HTMLElement | null>, number] {
  const ref = useRef<HTMLElement | null>(null);
  const [widthPx, setWidthPx] = useState(firstPx);
  useLayoutEffect(() => {
    const element = ref.current;
    if (element === null) return undefined;
    const measure = (): void => setWidthPx(Math.max(160, Math.round(element.clientWidth)));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, widthPx];
}
