import { startGateway, type GatewayOptions, type TestGateway } from '../harness';

/**
 * One gateway for a whole test file. Its end is part of the test: every line and log is then held against the catalogue
 * and the secrets. The mock forgets requests, rules and totals before each test.
 */
export function useGateway(options: GatewayOptions = {}): () => TestGateway {
  let gateway: TestGateway | undefined;
  const running = (): TestGateway => {
    if (gateway === undefined) throw new Error('the gateway is not running');
    return gateway;
  };
  beforeAll(async () => {
    gateway = await startGateway(options);
  });
  beforeEach(() => {
    running().mock.clear();
  });
  afterAll(() => gateway?.stop());
  return running;
}
