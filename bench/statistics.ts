/** Median, 95th percentile and maximum, to the hundredth. */
export function percentiles(values: number[]): { p50: number; p95: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
    return round(value);
  };
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}

/** To the hundredth. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
