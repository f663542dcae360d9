import { Duration, Validations } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { Environment } from '../config';

/** The ECS-optimized image, x86_64, as of each launch: an instance never starts on last year's kernel. */
const IMAGE_PARAMETER = '/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id';
/** After that long an instance is replaced by one with the image of the day. */
const MAX_INSTANCE_LIFETIME = Duration.days(14);
const ROOT_VOLUME_GIB = 30;

export interface Ec2CapacityProps {
  readonly environment: Environment;
  readonly cluster: ecs.Cluster;
  readonly vpc: ec2.IVpc;
  /** Tasks that may run at the most: so many instances, at the most. */
  readonly maxTasks: number;
}

/** Instances that ECS starts and drains by itself, as the tasks need them. */
export class Ec2Capacity extends Construct {
  readonly capacityProvider: ecs.AsgCapacityProvider;

  constructor(scope: Construct, id: string, props: Ec2CapacityProps) {
    super(scope, id);
    const { environment, cluster, vpc } = props;
    const role = new iam.Role(this, 'InstanceRole', {
      description: 'Lets the ECS agent of an instance join this cluster; tasks have roles of their own',
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    });
    Validations.of(role).acknowledge(
      {
        id: 'AwsSolutions-IAM5[Action::ecs:Submit*]',
        reason: 'The three ways in which an instance reports state, on this cluster only.',
      },
      {
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason:
          'What the ECS agent asks before it knows its cluster takes no resource; polling is held to this cluster by a condition. Tasks cannot reach the role.',
      },
    );
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Instances: nothing comes in, tasks have interfaces of their own',
      allowAllOutbound: false,
    });
    securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.HTTPS, 'AWS, by endpoints or NAT');

    const autoScalingGroup = new autoscaling.AutoScalingGroup(this, 'AutoScalingGroup', {
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      launchTemplate: new ec2.LaunchTemplate(this, 'LaunchTemplate', {
        instanceType: new ec2.InstanceType(environment.compute.instanceType),
        machineImage: ec2.MachineImage.resolveSsmParameterAtLaunch(IMAGE_PARAMETER, {
          os: ec2.OperatingSystemType.LINUX,
        }),
        role,
        securityGroup,
        userData: blockInstanceCredentials(),
        // No key pair: nobody signs in to an instance.
        httpTokens: ec2.LaunchTemplateHttpTokens.REQUIRED,
        httpPutResponseHopLimit: 1,
        blockDevices: [
          {
            deviceName: '/dev/xvda',
            volume: ec2.BlockDeviceVolume.ebs(ROOT_VOLUME_GIB, {
              encrypted: true,
              volumeType: ec2.EbsDeviceVolumeType.GP3,
              deleteOnTermination: true,
            }),
          },
        ],
      }),
      minCapacity: 0,
      // Each instance holds at least one task, so that there can never be more of them than tasks.
      maxCapacity: props.maxTasks,
      maxInstanceLifetime: MAX_INSTANCE_LIFETIME,
      healthChecks: autoscaling.HealthChecks.ec2({ gracePeriod: Duration.minutes(5) }),
    });
    Validations.of(autoScalingGroup).acknowledge({
      id: 'AwsSolutions-AS3',
      reason: 'Instances come and go with tasks by design; the alarms watch tasks and capacity, not single launches.',
    });

    this.capacityProvider = new ecs.AsgCapacityProvider(this, 'CapacityProvider', {
      autoScalingGroup,
      enableManagedScaling: true,
      // ECS drains an instance, streams and all, before it goes; with that, protection from scale-in only hinders tear-down.
      enableManagedDraining: true,
      enableManagedTerminationProtection: false,
    });
    cluster.addAsgCapacityProvider(this.capacityProvider);
  }
}

/** Tasks never see the instance's credentials. What makes an instance join is added by the cluster. */
function blockInstanceCredentials(): ec2.UserData {
  const data = ec2.UserData.forLinux();
  data.addCommands('echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config');
  return data;
}
