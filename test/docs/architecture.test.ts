import { readFileSync } from 'node:fs';
import { deployableEnvironments } from '../../lib/app';
import { loadConfig } from '../../lib/config';
import { ARCHITECTURE_PAGE, architecturePage } from '../../lib/docs/architecture-page';
import { architecturePicture } from '../../lib/docs/architecture-picture';
import { deployable } from '../stacks/support/environment';

test('the page of pictures is what the shipped config makes it (npm run architecture)', () => {
  const page = architecturePage(deployableEnvironments(loadConfig('causeway.config.ts')));
  expect(readFileSync(ARCHITECTURE_PAGE, 'utf8')).toBe(page);
});

describe('the picture', () => {
  const picture = architecturePicture(
    deployable({
      regions: [{ region: 'eu-central-1', minTasks: 4 }, { region: 'us-east-1' }],
      routing: { countries: { DE: { region: 'eu-central-1', pinned: true }, FR: { region: 'eu-central-1' } } },
      upstreams: [
        { id: 'anthropic', host: 'api.anthropic.com' },
        { id: 'aws', host: 'aws-external-anthropic.us-east-1.api.aws' },
      ],
      valkey: { mode: 'serverless' },
      edge: { enabled: true, hostname: 'models.example.com' },
    }),
  );

  test.each([
    'subgraph eu_central_1["eu-central-1, 2 AZs"]',
    'eu_central_1_tasks["nginx and Lua<br/>Fargate: 4–20 tasks of 0.5 vCPU, 1024 MiB"]',
    'us_east_1_tasks["nginx and Lua<br/>Fargate: 2–20 tasks of 0.5 vCPU, 1024 MiB"]',
    'us_east_1_alb["Public load balancer<br/>WAF, ACM certificate"]',
    'eu_central_1_nat["NAT<br/>perAz, 2 fixed addresses"]',
    'us_east_1_valkey[("Valkey Serverless")]',
    'public -->|"DE (pinned), FR"| eu_central_1_alb',
    'public -->|everybody else| latency',
    'latency --> us_east_1_alb',
    'us_east_1_nat --> upstream_0',
    'us_east_1_nat -.->|takes over| upstream_1',
    'edge["CloudFront models.example.com<br/>GET /v1/models, 60 s"]',
  ])('holds %s', (line) => {
    expect(picture.split('\n').map((text) => text.trim())).toContain(line);
  });

  test('leaves out what is not there', () => {
    const bare = architecturePicture(
      deployable({ firewall: { enabled: false }, loadBalancer: { exposure: 'internal' }, network: { nat: 'single' } }),
    );
    expect(bare).not.toMatch(/CloudFront|Valkey|WAF|takes over/);
    expect(bare).toContain('Internal load balancer<br/>ACM certificate');
    expect(bare).toContain('single, 1 fixed address"');
  });
});
