import { describeProblem, type Rule, ruleSchema, type Script } from './script';

/** What a rule is matched against. */
export interface RuleSubject {
  path: string;
  method: string;
  model: string | undefined;
  credential: string | undefined;
}

function matches(rule: Rule, subject: RuleSubject): boolean {
  const { path, method, model, credential } = rule.match ?? {};
  if (path !== undefined) {
    const agrees = path.endsWith('*') ? subject.path.startsWith(path.slice(0, -1)) : subject.path === path;
    if (!agrees) return false;
  }
  if (method !== undefined && method.toUpperCase() !== subject.method) return false;
  if (model !== undefined && model !== subject.model) return false;
  return credential === undefined || credential === subject.credential;
}

/** The rules in force, in order; the first that matches serves. */
export class ScriptBook {
  private rules: Rule[] = [];

  /** Appends a rule or a list of rules; throws an error that names the field when one is wrong. */
  add(rules: unknown): void {
    const list: unknown[] = Array.isArray(rules) ? rules : [rules];
    // Parsed as a whole before any is taken, so that a wrong list changes nothing.
    const parsed = list.map((rule) => {
      const result = ruleSchema.safeParse(rule);
      if (!result.success) throw new Error(describeProblem(result.error));
      return result.data;
    });
    this.rules.push(...parsed);
  }

  /** Takes the script for a request, and counts it against its rule's `times`. */
  take(subject: RuleSubject): Script | undefined {
    const index = this.rules.findIndex((rule) => matches(rule, subject));
    const rule = this.rules[index];
    if (rule === undefined) return undefined;
    if (rule.times !== undefined) {
      rule.times -= 1;
      if (rule.times === 0) this.rules.splice(index, 1);
    }
    return rule.script;
  }

  /** The rules still in force. */
  list(): readonly Rule[] {
    return this.rules;
  }

  clear(): void {
    this.rules = [];
  }
}
