import type { Environment } from '../derive';
import type { ConfigProblem } from '../errors';
import type { Rule } from '../ladder';
import type { Region } from '../schema';
import { problem } from './problem';

const MIB = 1024 * 1024;
const GIB = 1024;
const everyGib = (from: number, to: number, step = 1): readonly number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => (from + index * step) * GIB);

/** Memory in MiB that Fargate offers with each number of CPU units (docs: AmazonECS/latest/developerguide, task sizes). */
const FARGATE_MEMORY: Readonly<Record<number, readonly number[]>> = {
  256: [512, 1024, 2048],
  512: everyGib(1, 4),
  1024: everyGib(2, 8),
  2048: everyGib(4, 16),
  4096: everyGib(8, 30),
  8192: everyGib(16, 60, 4),
};

/** Of a serverless Valkey's data, what stored answers may take. */
const SHARED_CACHE_PART = 0.8;

/** Graviton's families: a `g` behind the generation (c7g, m6gd, im4gn), and a1. */
const ARM_INSTANCE = /^([a-z]+\d+[a-z]*g[a-z]*|a1)\./;

/** Bounds of a region's task count: its own, or the environment's. */
export function tasksOf(environment: Pick<Environment, 'compute'>, region: Region): { min: number; max: number } {
  return {
    min: region.minTasks ?? environment.compute.minTasks,
    max: region.maxTasks ?? environment.compute.maxTasks,
  };
}

/** Tasks that go on running when the AZ that holds the most of them is lost, spread evenly as they are. */
export function tasksAfterZoneLoss(tasks: number, zones: number): number {
  return tasks - Math.ceil(tasks / zones);
}

/** In each region the least number of tasks survives the loss of an AZ and lies within the greatest. */
export const capacityHolds: Rule = (environment) => {
  const { compute, network, regions } = environment;
  const own = regions.flatMap((region, index) =>
    region.minTasks === undefined && region.maxTasks === undefined
      ? []
      : bounds(`regions[${index}]`, tasksOf(environment, region), zonesOf(region, network)),
  );
  return [...bounds('compute', { min: compute.minTasks, max: compute.maxTasks }, network.availabilityZones), ...own];
};

/** A scheduled floor lies within what each region may run, and survives the loss of an AZ as well. */
export const schedulesFit: Rule = (environment) => {
  const { compute, network, regions } = environment;
  return compute.schedules.flatMap(({ minTasks }, index) => {
    const field = `compute.schedules[${index}].minTasks`;
    const problems = regions.flatMap((region) => {
      const { max } = tasksOf(environment, region);
      return minTasks > max
        ? [problem(field, `is ${minTasks}; must be at most the ${max} tasks of ${region.region}`)]
        : [];
    });
    return [...problems, ...survives(field, minTasks, network.availabilityZones)];
  });
};

/** Fargate offers the size that is asked for. */
export const fargateSizesExist: Rule = ({ compute }) => {
  if (compute.type !== 'fargate') return [];
  const allowed = FARGATE_MEMORY[compute.cpu] ?? [];
  return allowed.includes(compute.memoryMiB)
    ? []
    : [
        problem(
          'compute.memoryMiB',
          `is ${compute.memoryMiB}; with compute.cpu ${compute.cpu} Fargate offers ${allowed.join(', ')}`,
        ),
      ];
};

/** Instances are of the architecture that the image is built for. */
export const instancesAreX86: Rule = ({ compute }) =>
  compute.type === 'ec2' && ARM_INSTANCE.test(compute.instanceType)
    ? [
        problem(
          'compute.instanceType',
          `is "${compute.instanceType}", of Graviton; must be x86_64, which image and AMI are of, such as c6i.large`,
        ),
      ]
    : [];

/** Stored answers leave half of a task's memory to connections and bodies. */
export const cacheFitsMemory: Rule = ({ cache, compute }) => {
  const half = (compute.memoryMiB / 2) * MIB;
  return !cache.enabled || cache.nodeBytes <= half
    ? []
    : [
        problem(
          'cache.nodeBytes',
          `is ${cache.nodeBytes}; must be at most ${half}, half of compute.memoryMiB (${compute.memoryMiB})`,
        ),
      ];
};

/** A serverless Valkey that is filled to its bound evicts what it likes, the limits of the fleet included. */
export const sharedCacheFits: Rule = ({ cache, valkey }) => {
  if (!cache.enabled || valkey.mode !== 'serverless') return [];
  const most = valkey.maxDataGb * SHARED_CACHE_PART * 1e9;
  return cache.sharedBytes <= most
    ? []
    : [
        problem(
          'cache.sharedBytes',
          `is ${cache.sharedBytes}; must be at most ${most}, four fifths of valkey.maxDataGb (${valkey.maxDataGb})`,
        ),
      ];
};

function zonesOf(region: Region, network: Environment['network']): number {
  return region.existingVpc?.availabilityZones.length ?? network.availabilityZones;
}

function bounds(field: string, { min, max }: { min: number; max: number }, zones: number): ConfigProblem[] {
  const problems = survives(`${field}.minTasks`, min, zones);
  if (min > max) problems.push(problem(`${field}.minTasks`, `is ${min}; must be at most maxTasks (${max})`));
  return problems;
}

function survives(field: string, tasks: number, zones: number): ConfigProblem[] {
  return tasksAfterZoneLoss(tasks, zones) >= 1
    ? []
    : [problem(field, `is ${tasks}; must be at least 2, so that a task is left when one of ${zones} AZs is lost`)];
}
