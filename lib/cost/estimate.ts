import { priceResource, type LineItem, type Resource, type Resources } from './resource-prices';

/** One synthesized stack. */
export interface StackTemplate {
  readonly name: string;
  readonly template: { readonly Resources?: Readonly<Record<string, unknown>> };
}

/** What a stack costs a month by being there. */
export interface StackEstimate {
  readonly name: string;
  readonly items: readonly LineItem[];
  readonly monthly: number;
}

/** What an environment costs a month before its first request. */
export interface Estimate {
  readonly stacks: readonly StackEstimate[];
  readonly monthly: number;
  /** Types of resources that no price list here knows: what is missing from the sum, if they cost anything. */
  readonly unknownTypes: readonly string[];
}

/** Adds up the base cost of synthesized stacks. */
export function estimate(stacks: readonly StackTemplate[]): Estimate {
  const unknownTypes = new Set<string>();
  const estimates = stacks.map(({ name, template }) => {
    // A template's members are what CloudFormation takes: a type and properties each.
    const resources = (template.Resources ?? {}) as Resources;
    const items = Object.values(resources).flatMap((resource: Resource) => {
      const priced = priceResource(resource, resources);
      if (priced === undefined) unknownTypes.add(resource.Type);
      return priced ?? [];
    });
    return { name, items: merge(items), monthly: sum(items) };
  });
  return {
    stacks: estimates,
    monthly: estimates.reduce((total, { monthly }) => total + monthly, 0),
    unknownTypes: [...unknownTypes].sort(),
  };
}

/** USD a month of some items. */
export function sum(items: readonly LineItem[]): number {
  return items.reduce((total, { quantity, each }) => total + quantity * each, 0);
}

/** Adds up what costs the same, the dearest first. */
export function merge(items: readonly LineItem[]): LineItem[] {
  const merged = new Map<string, LineItem>();
  for (const item of items) {
    if (item.quantity === 0) continue;
    const key = `${item.what} ${item.each}`;
    const known = merged.get(key);
    merged.set(key, known === undefined ? item : { ...known, quantity: known.quantity + item.quantity });
  }
  return [...merged.values()].sort((a, b) => b.quantity * b.each - a.quantity * a.each);
}
