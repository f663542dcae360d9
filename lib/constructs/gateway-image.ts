import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Arn } from 'aws-cdk-lib';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as ecrAssets from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { renderImage, type ImagePlacementProps } from '../gateway-image';

/** The gateway's sources: Dockerfile, start script and Lua. */
const SOURCE = join(__dirname, '../../gateway');
/** What of them goes into the image; specs and tools stay out, so that a changed test deploys nothing. */
const CONTEXT = ['Dockerfile', 'start.sh', 'entrypoint.sh', 'lua'] as const;
/** An image in a private registry of ECR: account, region, name, tag or digest. */
const ECR_URI = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com\/([^:@]+)[:@](.+)$/;
/** The AppConfig agent as AWS publishes it, where nothing is built. */
const AGENT_IMAGE = 'public.ecr.aws/aws-appconfig/aws-appconfig-agent:2.x';

export interface GatewayImageProps extends ImagePlacementProps {
  readonly environment: Environment;
}

/**
 * The images of a task: nginx with the rendered configuration inside, and the AppConfig agent. Synthesis only lays the
 * build context out; Docker runs when it is published.
 */
export class GatewayImage extends Construct {
  readonly gateway: ecs.ContainerImage;
  readonly appConfigAgent: ecs.ContainerImage;

  constructor(scope: Construct, id: string, props: GatewayImageProps) {
    super(scope, id);
    const { imageUri } = props.environment.compute;
    if (imageUri !== undefined) {
      // Whoever brings an image has no Docker at hand, perhaps: then the agent comes as it is published, by the NAT.
      this.gateway = this.givenImage(imageUri);
      this.appConfigAgent = ecs.ContainerImage.fromRegistry(AGENT_IMAGE);
      return;
    }
    const context = mkdtempSync(join(tmpdir(), 'causeway-image-'));
    for (const name of CONTEXT) cpSync(join(SOURCE, name), join(context, name), { recursive: true });
    for (const [path, contents] of Object.entries(renderImage(props.environment, props))) {
      const file = join(context, 'etc', path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, contents);
    }
    // Staged into cdk.out by the constructor, so that the directory is not needed after it.
    const asset = new ecrAssets.DockerImageAsset(this, 'Gateway', {
      directory: context,
      platform: ecrAssets.Platform.LINUX_AMD64,
    });
    rmSync(context, { recursive: true });
    this.gateway = ecs.ContainerImage.fromDockerImageAsset(asset);
    // Through the account's own registry, so that a new task needs no registry beyond the VPC's endpoints.
    this.appConfigAgent = ecs.ContainerImage.fromDockerImageAsset(
      new ecrAssets.DockerImageAsset(this, 'AppConfigAgent', {
        directory: join(SOURCE, 'appconfig-agent'),
        platform: ecrAssets.Platform.LINUX_AMD64,
      }),
    );
  }

  /** From a private registry of ECR tasks need leave to pull, from any other they do not. */
  private givenImage(uri: string): ecs.ContainerImage {
    const [, account, region, name, version] = ECR_URI.exec(uri) ?? [];
    if (account === undefined || region === undefined || name === undefined)
      return ecs.ContainerImage.fromRegistry(uri);
    const repository = ecr.Repository.fromRepositoryAttributes(this, 'Repository', {
      repositoryName: name,
      repositoryArn: Arn.format({
        partition: 'aws',
        service: 'ecr',
        region,
        account,
        resource: 'repository',
        resourceName: name,
      }),
    });
    return ecs.ContainerImage.fromEcrRepository(repository, version);
  }
}
