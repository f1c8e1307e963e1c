/** The guest benchmark with a guest of 64 bits: as guest.bench.ts, whose options it takes. */
process.argv.splice(2, 0, '--bits', '64');
await import('./guest.bench.ts');
