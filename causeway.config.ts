import { defineConfig } from './lib/config';

export default defineConfig({
  environments: {
    // What `npm start` runs. Its upstream is the mock Claude API, unless `--upstream anthropic` is given.
    local: {},

    // One region at the least cost that still survives the loss of an AZ. Names and ids are examples: put in your own.
    minimal: {
      regions: [{ region: 'us-east-1' }],
      domain: { name: 'claude.example.com', hostedZoneId: 'Z0123456789EXAMPLE', hostedZoneName: 'example.com' },
      network: {
        // One NAT gateway: with its AZ the way out is lost, until it is made anew in another.
        nat: 'single',
        flowLogs: false,
        // About 7 USD a month each and AZ; without them logs, secrets and images take the NAT.
        interfaceEndpoints: false,
      },
      compute: { cpu: 256, memoryMiB: 512, minTasks: 2, maxTasks: 4 },
    },

    // Three regions, everything on.
    global: {
      regions: [
        { region: 'us-east-1', vpcCidr: '10.64.0.0/20' },
        { region: 'eu-central-1', vpcCidr: '10.64.16.0/20' },
        { region: 'ap-northeast-1', vpcCidr: '10.64.32.0/20', minTasks: 3 },
      ],
      domain: { name: 'claude.corp.example.com', hostedZoneId: 'Z0123456789EXAMPLE', hostedZoneName: 'example.com' },
      routing: {
        countries: {
          JP: { region: 'ap-northeast-1' },
          // Stays even when the region is unhealthy: rather no answer than one from elsewhere.
          DE: { region: 'eu-central-1', pinned: true },
        },
      },
      upstreams: [
        { id: 'anthropic', host: 'api.anthropic.com' },
        {
          // Claude Platform on AWS: the same API, another quota, another way in.
          id: 'aws',
          host: 'aws-external-anthropic.us-east-1.api.aws',
          credentialHeader: 'authorization',
          headers: { 'anthropic-workspace-id': 'wrkspc_EXAMPLE' },
          routeClasses: ['generate', 'count', 'models'],
        },
      ],
      network: { availabilityZones: 3 },
      compute: {
        cpu: 1024,
        memoryMiB: 2048,
        minTasks: 3,
        maxTasks: 60,
        // Office hours of the regions begin; each floor holds until the next.
        schedules: [
          { cron: '30 6 ? * MON-FRI *', minTasks: 6 },
          { cron: '0 20 ? * MON-FRI *', minTasks: 3 },
        ],
      },
      valkey: { mode: 'replicationGroup', nodeType: 'cache.t4g.medium', replicas: 2 },
      edge: { enabled: true, hostname: 'models.claude.corp.example.com' },
      observability: { alarmEmails: ['claude-gateway@example.com'] },
    },
  },
});
