import { eventually, type TestGateway } from '../harness';

/** The next line of a timer that says this metric, from now on. */
async function next(gateway: TestGateway, name: string, dict?: string): Promise<number> {
  const seen = gateway.lines().length;
  return eventually(() => {
    const line = gateway
      .lines()
      .slice(seen)
      .find((each) => name in each && each['Dict'] === dict);
    return line === undefined ? undefined : Number(line[name]);
  }, 15_000);
}

/** Waits until the node fetches nothing, and holds nothing of what it fetched. */
export async function expectNothingHeld(gateway: TestGateway): Promise<void> {
  await eventually(async () => {
    const held = [await next(gateway, 'ActiveFetches'), await next(gateway, 'FlightBytes')];
    expect(held).toEqual([0, 0]);
    return true;
  }, 20_000);
}

/** Free memory of the dictionary through which workers share flights, in bytes. */
export function freeFlightMemory(gateway: TestGateway): Promise<number> {
  return next(gateway, 'DictFreeBytes', 'causeway_flights');
}
