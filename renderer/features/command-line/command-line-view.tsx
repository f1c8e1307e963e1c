/** A command line as the engine gets it, an option per line; parts that a form has changed are marked. */
import { type ReactElement, useEffect, useRef, useState } from 'react';
import type { CommandLine, CommandLinePart } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';
import { copyText } from '../../ui/clipboard.ts';
import { Button } from '../../ui/controls.tsx';

/** Words as a POSIX shell wants them. */
export function quoteWord(word: string): string {
  if (word === '') return "''";
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Groups `-option value` pairs; a part may hold several options. */
export function optionLines(part: CommandLinePart): string[] {
  const lines: string[] = [];
  for (const word of part.words) {
    const text = quoteWord(word);
    if (word.startsWith('-') || lines.length === 0 || lines[lines.length - 1]!.includes(' ')) lines.push(text);
    else lines[lines.length - 1] += ` ${text}`;
  }
  return lines;
}

/** The texts of the options that `next` has and `before` has not. */
export function changedOptions(before: CommandLine | undefined, next: CommandLine): ReadonlySet<string> {
  if (!before) return new Set();
  const known = new Set(before.parts.flatMap(optionLines));
  return new Set(next.parts.flatMap(optionLines).filter((line) => !known.has(line)));
}

export function CommandLineView({
  commandLine,
  before,
  compact,
}: {
  commandLine: CommandLine;
  before?: CommandLine | undefined;
  compact?: boolean;
}): ReactElement {
  const [copied, setCopied] = useState(false);
  const changed = changedOptions(before, commandLine);
  const box = useRef<HTMLPreElement>(null);
  const firstChange = changed.values().next().value;
  useEffect(() => {
    const mark = firstChange === undefined ? undefined : box.current?.querySelector<HTMLElement>('.cl-changed');
    if (box.current && mark) box.current.scrollTop = mark.offsetTop - box.current.clientHeight / 3;
  }, [firstChange]);
  const program = commandLine.program.split(/[\\/]/).pop() ?? commandLine.program;
  return (
    <div className={`command-line ${compact ? 'command-line-compact' : ''}`}>
      <pre className="selectable" data-testid="command-line" ref={box}>
        <span className="cl-program">{quoteWord(program)}</span>
        {commandLine.parts.map((part, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other identity than their place
          <span key={`${part.origin}-${index}`} data-origin={part.origin}>
            {optionLines(part).map((line) => (
              <span key={line} className={changed.has(line) ? 'cl-option cl-changed' : 'cl-option'}>
                {' '}
                <OptionText line={line} />
              </span>
            ))}
          </span>
        ))}
      </pre>
      <Button
        size="sm"
        variant="ghost"
        icon={copied ? 'check' : 'copy'}
        className="command-line-copy"
        onClick={async () => {
          await copyText(commandLine.text);
          setCopied(true);
          setTimeout(() => setCopied(false), 1500);
        }}
      >
        {copied ? t('common.copied') : t('common.copy')}
      </Button>
    </div>
  );
}

function OptionText({ line }: { line: string }): ReactElement {
  const space = line.indexOf(' ');
  if (!line.startsWith('-')) return <>{line}</>;
  return (
    <>
      <span className="cl-name">{space < 0 ? line : line.slice(0, space)}</span>
      {space < 0 ? '' : line.slice(space)}
    </>
  );
}
