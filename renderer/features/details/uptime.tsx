/** How long the machine has been running; ticks by itself so that nothing else renders each second. */
import { type ReactElement, useEffect, useState } from 'react';
import { formatDuration } from '../../i18n/format.ts';

export function Uptime({ since }: { since: number }): ReactElement {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return <span className="muted num uptime">{formatDuration(now - since)}</span>;
}
