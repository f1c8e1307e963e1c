/** Buttons, inputs and form rows: native elements underneath, so that keyboard and screen readers work unaided. */
import { type ComponentProps, createContext, type ReactElement, type ReactNode, useContext, useId } from 'react';
import { Icon, type IconName } from './icons.tsx';

type ButtonProps = Omit<ComponentProps<'button'>, 'children'> & {
  variant?: 'default' | 'primary' | 'ghost' | 'danger';
  size?: 'sm' | 'md' | 'lg';
  icon?: IconName;
  trailing?: IconName;
  busy?: boolean;
  children: ReactNode;
};

/** A labelled push button. While `busy` it keeps its width, shows a spinner and takes no clicks. */
export function Button({
  variant = 'default',
  size = 'md',
  icon,
  trailing,
  busy,
  children,
  className,
  ...rest
}: ButtonProps): ReactElement {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={`btn btn-${variant} btn-${size} ${className ?? ''}`}
    >
      {busy ? <Spinner /> : icon && <Icon name={icon} />}
      <span>{children}</span>
      {trailing && <Icon name={trailing} size={12} />}
    </button>
  );
}

type IconButtonProps = Omit<ComponentProps<'button'>, 'children'> & {
  icon: IconName;
  label: string;
  active?: boolean;
  shortcut?: string;
  danger?: boolean;
};

/** A square button whose name is spoken and shown on hover. */
export function IconButton({
  icon,
  label,
  active,
  shortcut,
  danger,
  className,
  ...rest
}: IconButtonProps): ReactElement {
  return (
    <button
      type="button"
      {...rest}
      aria-label={label}
      title={shortcut ? `${label} (${shortcut})` : label}
      aria-pressed={active}
      className={`icon-btn ${danger ? 'icon-btn-danger' : ''} ${className ?? ''}`}
    >
      <Icon name={icon} />
    </button>
  );
}

export function Spinner({ size = 14 }: { size?: number }): ReactElement {
  return <span className="spinner" style={{ width: size, height: size }} aria-hidden="true" />;
}

interface FieldState {
  id: string;
  describedBy: string | undefined;
  invalid: boolean;
}
const FieldContext = createContext<FieldState | undefined>(undefined);

/** Label, control, and below it either the reason why the value is refused or a hint; the line's height is constant. */
export function Field({
  label,
  hint,
  error,
  trailing,
  children,
  testId,
}: {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  trailing?: ReactNode;
  children: ReactNode;
  testId?: string;
}): ReactElement {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className="field" data-invalid={error ? '' : undefined} data-testid={testId}>
      <div className="field-label">
        <label htmlFor={id}>{label}</label>
        {trailing}
      </div>
      <FieldContext value={{ id, describedBy: note ? `${id}-note` : undefined, invalid: Boolean(error) }}>
        {children}
      </FieldContext>
      <div className="field-note" id={`${id}-note`} role={error ? 'alert' : undefined}>
        {error && <Icon name="error" size={12} />}
        {note ?? ''}
      </div>
    </div>
  );
}

function useFieldProps() {
  const field = useContext(FieldContext);
  return { id: field?.id, 'aria-describedby': field?.describedBy, 'aria-invalid': field?.invalid || undefined };
}

export function TextInput({
  onValue,
  mono,
  className,
  ...rest
}: Omit<ComponentProps<'input'>, 'onChange'> & { onValue: (value: string) => void; mono?: boolean }): ReactElement {
  const field = useFieldProps();
  return (
    <input
      type="text"
      spellCheck={false}
      autoComplete="off"
      {...field}
      {...rest}
      className={`input ${mono ? 'mono' : ''} ${className ?? ''}`}
      onChange={(event) => onValue(event.target.value)}
    />
  );
}

export function TextArea({
  onValue,
  mono,
  ...rest
}: Omit<ComponentProps<'textarea'>, 'onChange'> & { onValue: (value: string) => void; mono?: boolean }): ReactElement {
  const field = useFieldProps();
  return (
    <textarea
      spellCheck={false}
      {...field}
      {...rest}
      className={`input textarea ${mono ? 'mono' : ''}`}
      onChange={(event) => onValue(event.target.value)}
    />
  );
}

/** A number with a unit. Half-typed text is kept by the browser; `onValue` gets NaN for it, never a made-up value. */
export function NumberInput({
  value,
  onValue,
  unit,
  ...rest
}: Omit<ComponentProps<'input'>, 'onChange' | 'value'> & {
  value: number;
  onValue: (value: number) => void;
  unit?: string;
}): ReactElement {
  const field = useFieldProps();
  return (
    <span className="input-unit">
      <input
        type="number"
        {...field}
        {...rest}
        className="input num"
        value={Number.isNaN(value) ? '' : value}
        onChange={(event) => onValue(event.target.valueAsNumber)}
      />
      {unit && <span className="unit">{unit}</span>}
    </span>
  );
}

export interface Option<T extends string> {
  value: T;
  label: string;
}

export function Select<T extends string>({
  value,
  options,
  onValue,
  ...rest
}: Omit<ComponentProps<'select'>, 'onChange' | 'value'> & {
  value: T;
  options: readonly Option<T>[];
  onValue: (value: T) => void;
}): ReactElement {
  const field = useFieldProps();
  return (
    <span className="select">
      <select {...field} {...rest} value={value} onChange={(event) => onValue(event.target.value as T)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
      <Icon name="chevronDown" size={12} />
    </span>
  );
}

export function Checkbox({
  checked,
  onValue,
  children,
  hint,
  disabled,
  testId,
}: {
  checked: boolean;
  onValue: (value: boolean) => void;
  children: ReactNode;
  hint?: ReactNode;
  disabled?: boolean;
  testId?: string;
}): ReactElement {
  return (
    <label className="check" data-disabled={disabled || undefined}>
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onValue(event.target.checked)}
        data-testid={testId}
      />
      <span className="check-box">
        <Icon name="check" size={11} />
      </span>
      <span>
        {children}
        {hint && <span className="check-hint">{hint}</span>}
      </span>
    </label>
  );
}

/** One of a few, as joined buttons; arrow keys move because the inputs are real radio buttons. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onValue,
  testId,
}: {
  label: string;
  value: T;
  options: readonly (Option<T> & { icon?: IconName })[];
  onValue: (value: T) => void;
  testId?: string;
}): ReactElement {
  const name = useId();
  return (
    <div className="segmented" role="radiogroup" aria-label={label} data-testid={testId}>
      {options.map((option) => (
        <label key={option.value} className="segment" title={option.label}>
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={value === option.value}
            onChange={() => onValue(option.value)}
          />
          <span>
            {option.icon && <Icon name={option.icon} size={14} />}
            {option.label}
          </span>
        </label>
      ))}
    </div>
  );
}

/** One of a few that each need a sentence. */
export function RadioCards<T extends string>({
  label,
  value,
  options,
  onValue,
}: {
  label: string;
  value: T;
  options: readonly (Option<T> & { description: string; icon: IconName })[];
  onValue: (value: T) => void;
}): ReactElement {
  const name = useId();
  return (
    <div className="radio-cards" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value} className="radio-card">
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={value === option.value}
            onChange={() => onValue(option.value)}
            data-testid={`choice-${option.value}`}
          />
          <span className="radio-card-body">
            <Icon name={option.icon} size={18} />
            <span className="col" style={{ gap: 2 }}>
              <strong>{option.label}</strong>
              <span className="muted small">{option.description}</span>
            </span>
          </span>
        </label>
      ))}
    </div>
  );
}

export interface SliderMark {
  at: number;
  label: string;
}

/** A slider with marks and a shaded region past `comfortable`; positions are the caller's units 0…`max`. */
export function Slider({
  min,
  max,
  value,
  marks,
  comfortable,
  onValue,
  label,
  valueText,
  testId,
}: {
  min: number;
  max: number;
  value: number;
  marks: readonly SliderMark[];
  comfortable?: number;
  onValue: (value: number) => void;
  label: string;
  valueText?: string;
  testId?: string;
}): ReactElement {
  const field = useFieldProps();
  const percent = (at: number) => ((Math.min(Math.max(at, min), max) - min) / (max - min || 1)) * 100;
  return (
    <div className="slider">
      <div className="slider-track">
        {comfortable !== undefined && comfortable < max && (
          <div className="slider-over" style={{ left: `${percent(comfortable)}%` }} />
        )}
        <div className="slider-fill" style={{ width: `${percent(value)}%` }} />
      </div>
      <input
        type="range"
        min={min}
        max={max}
        step={1}
        value={Number.isFinite(value) ? value : min}
        aria-label={label}
        aria-valuetext={valueText}
        aria-describedby={field['aria-describedby']}
        onChange={(event) => onValue(event.target.valueAsNumber)}
        data-testid={testId}
      />
      <div className="slider-marks" aria-hidden="true">
        {marks.map((mark) => (
          <span key={mark.label} style={{ left: `${percent(mark.at)}%` }}>
            {mark.label}
          </span>
        ))}
      </div>
    </div>
  );
}

/** A strip that says what went wrong or what to know, with what can be done about it at its end. */
export function Banner({
  tone,
  title,
  children,
  actions,
  testId,
}: {
  tone: 'danger' | 'warn' | 'info' | 'ok';
  title?: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
  testId?: string;
}): ReactElement {
  const icons = { danger: 'error', warn: 'warning', info: 'info', ok: 'ok' } as const;
  return (
    <div className={`banner banner-${tone}`} role={tone === 'danger' ? 'alert' : 'status'} data-testid={testId}>
      <Icon name={icons[tone]} />
      <div className="grow">
        {title && <div className="banner-title">{title}</div>}
        {children && <div className="banner-body selectable">{children}</div>}
      </div>
      {actions && <div className="row">{actions}</div>}
    </div>
  );
}

export function EmptyState({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ReactNode;
}): ReactElement {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} size={28} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}
