import { Duration, RemovalPolicy, Size, Validations } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { agentPath, APPCONFIG_AGENT_PORT, GATEWAY_PORT, GATEWAY_USER, IMAGE_PATHS } from '../gateway-image';
import type { AppConfig } from './app-config';
import type { GatewayImage } from './gateway-image';
import { logRetention } from './log-retention';
import type { Valkey } from './valkey';

/** The container that the load balancer talks to. */
export const GATEWAY_CONTAINER = 'gateway';
/** Memory of a task that is left to the AppConfig agent. */
const AGENT_MEMORY_MIB = 64;
/** The longest that Fargate waits between the stop signal and the kill. Streams have had their drain before it. */
const STOP_TIMEOUT = Duration.seconds(120);
/** Room for request bodies that do not fit into memory, on instances. Part of the task's memory there. */
const TMPFS_SHARE = 0.25;

export interface GatewayTaskProps {
  readonly environment: Environment;
  readonly image: GatewayImage;
  readonly appConfig: AppConfig;
  /** @default - none: limits and cache stay with each task */
  readonly valkey?: Valkey | undefined;
}

/** One task: nginx, and the AppConfig agent on its loopback. */
export class GatewayTask extends Construct {
  readonly taskDefinition: ecs.TaskDefinition;
  /** Access lines, metrics (EMF) and errors of the gateway. */
  readonly logGroup: logs.LogGroup;

  constructor(scope: Construct, id: string, props: GatewayTaskProps) {
    super(scope, id);
    const { compute, observability } = props.environment;
    this.logGroup = new logs.LogGroup(this, 'Logs', {
      retention: logRetention(observability.logRetentionDays),
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.taskDefinition = new ecs.TaskDefinition(this, 'TaskDefinition', {
      compatibility: compute.type === 'fargate' ? ecs.Compatibility.FARGATE : ecs.Compatibility.EC2,
      networkMode: ecs.NetworkMode.AWS_VPC,
      cpu: String(compute.cpu),
      memoryMiB: String(compute.memoryMiB),
      ...(compute.type === 'fargate'
        ? {
            runtimePlatform: {
              cpuArchitecture: ecs.CpuArchitecture.X86_64,
              operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
            },
          }
        : {}),
    });
    props.appConfig.grantRead(this.taskDefinition.taskRole);

    const gateway = this.addGateway(props);
    const agent = this.addAppConfigAgent(props);
    gateway.addContainerDependencies({ container: agent, condition: ecs.ContainerDependencyCondition.START });
    const executionRole = this.taskDefinition.obtainExecutionRole();
    Validations.of(executionRole).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'ecr:GetAuthorizationToken takes no resource. The role is ECS’s own for starting tasks: containers never hold it.',
    });
    Validations.of(this.taskDefinition).acknowledge({
      id: 'AwsSolutions-ECS2',
      reason:
        'Plain variables hold names and numbers only; what is secret comes from Secrets Manager or the AppConfig agent.',
    });
  }

  private addGateway({ environment, image, valkey }: GatewayTaskProps): ecs.ContainerDefinition {
    const container = this.taskDefinition.addContainer('Gateway', {
      containerName: GATEWAY_CONTAINER,
      image: image.gateway,
      user: GATEWAY_USER,
      readonlyRootFilesystem: true,
      linuxParameters: this.linuxParameters('GatewayLinux', environment),
      stopTimeout: STOP_TIMEOUT,
      memoryReservationMiB: environment.compute.memoryMiB - AGENT_MEMORY_MIB,
      portMappings: [{ name: 'https', containerPort: GATEWAY_PORT }],
      ulimits: [
        {
          // A client's connection, an upstream's and a file for each of both, of every worker.
          name: ecs.UlimitName.NOFILE,
          softLimit: FILE_LIMIT,
          hardLimit: FILE_LIMIT,
        },
      ],
      logging: this.logDriver('gateway'),
      ...(valkey === undefined
        ? {}
        : {
            environment: {
              CAUSEWAY_VALKEY_HOST: valkey.host,
              CAUSEWAY_VALKEY_PORT: String(valkey.port),
              CAUSEWAY_VALKEY_USER: valkey.user,
            },
            secrets: { CAUSEWAY_VALKEY_PASSWORD: ecs.Secret.fromSecretsManager(valkey.password) },
          }),
    });
    if (environment.compute.type === 'fargate') {
      // Fargate has no tmpfs; what a task writes lies on its own encrypted, ephemeral storage.
      this.taskDefinition.addVolume({ name: 'runtime' });
      container.addMountPoints({ sourceVolume: 'runtime', containerPath: IMAGE_PATHS.runtime, readOnly: false });
    }
    return container;
  }

  private addAppConfigAgent({ environment, image, appConfig }: GatewayTaskProps): ecs.ContainerDefinition {
    const documents = [
      agentPath(environment, 'registry'),
      ...(environment.auth.mode === 'keys' ? [agentPath(environment, 'credentials')] : []),
    ];
    return this.taskDefinition.addContainer('AppConfigAgent', {
      containerName: 'appconfig-agent',
      image: image.appConfigAgent,
      user: GATEWAY_USER,
      readonlyRootFilesystem: true,
      linuxParameters: this.noCapabilities('AgentLinux'),
      // Without it the gateway goes on with the last good documents, so that it is started again, and the task is not.
      essential: false,
      enableRestartPolicy: true,
      memoryReservationMiB: AGENT_MEMORY_MIB,
      environment: {
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: String(APPCONFIG_AGENT_PORT),
        POLL_INTERVAL: String(appConfig.agentPollSeconds),
        PREFETCH_LIST: documents.join(','),
        LOG_LEVEL: 'warn',
      },
      logging: this.logDriver('appconfig-agent'),
    });
  }

  /** Where instances have it, the one directory that is written to is memory. */
  private linuxParameters(id: string, { compute }: Environment): ecs.LinuxParameters {
    const parameters = this.noCapabilities(id);
    if (compute.type === 'ec2') {
      parameters.addTmpfs({
        containerPath: IMAGE_PATHS.runtime,
        size: Math.floor(compute.memoryMiB * TMPFS_SHARE),
        mountOptions: [ecs.TmpfsMountOption.RW, ecs.TmpfsMountOption.NOEXEC, ecs.TmpfsMountOption.NOSUID],
      });
    }
    return parameters;
  }

  private noCapabilities(id: string): ecs.LinuxParameters {
    const parameters = new ecs.LinuxParameters(this, id);
    parameters.dropCapabilities(ecs.Capability.ALL);
    return parameters;
  }

  private logDriver(streamPrefix: string): ecs.LogDriver {
    return ecs.LogDrivers.awsLogs({
      logGroup: this.logGroup,
      streamPrefix,
      // Rather a lost line than a request that waits for CloudWatch.
      mode: ecs.AwsLogDriverMode.NON_BLOCKING,
      maxBufferSize: Size.mebibytes(16),
    });
  }
}

/** Open files of a task: what nginx.conf asks for at most. */
const FILE_LIMIT = 65_536;
