// Medians with their spread, as text.

export function median(values) {
  return quantile(values, 0.5);
}

/** Linear between the two nearest, as R and NumPy have it. */
export function quantile(values, at) {
  const sorted = [...values].sort((one, other) => one - other);
  const place = (sorted.length - 1) * at;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

/** `median (least–most)`; the median alone when there is one value. */
export function spread(values) {
  if (values.length < 2) return number(values[0]);
  return `${number(median(values))} (${number(Math.min(...values))}–${number(Math.max(...values))})`;
}

/** `first–third` quartile. */
export function quartiles(values) {
  return `${number(quantile(values, 0.25))}–${number(quantile(values, 0.75))}`;
}

/** Two or three digits that count, grouped in thousands. */
export function number(value) {
  if (value === undefined || value === null) return '—';
  const size = Math.abs(value);
  const decimals = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  const rounded = size >= 10_000 ? Number(value.toPrecision(3)) : value;
  const small = size > 0 && size < 0.1 ? 3 : decimals;
  return rounded.toLocaleString('en-US', { minimumFractionDigits: small, maximumFractionDigits: small });
}
