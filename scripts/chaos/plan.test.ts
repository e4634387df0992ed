import { expect, test } from '@jest/globals';
import { FAULT_KINDS, FAULTS } from './faults.ts';
import { planFaults } from './plan.ts';

const options = { seed: 7, jobs: 2000, every: 20, sparesWorker: false };

test('the same seed gives the same plan, and another seed another one', () => {
  expect(planFaults(options)).toEqual(planFaults(options));
  expect(planFaults({ ...options, seed: 8 })).not.toEqual(planFaults(options));
});

test('a run of 2,000 jobs meets every kind of fault, about one per twenty jobs', () => {
  const plan = planFaults(options);
  expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS));
  expect(plan.length).toBeGreaterThan(70);
  expect(plan.length).toBeLessThan(140);
});

test('a plan that spares the worker never ends it', () => {
  const plan = planFaults({ ...options, sparesWorker: true });
  expect(plan.filter(({ kind }) => FAULTS[kind].endsWorker)).toEqual([]);
  expect(plan.length).toBeGreaterThan(70);
});
