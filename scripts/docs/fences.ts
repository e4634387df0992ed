/**
 * How a code block is checked. The words after its language choose the rule:
 *
 * | block                   | check                                                                                        |
 * | ----------------------- | -------------------------------------------------------------------------------------------- |
 * | `sh`                    | it parses; programs, options, scripts, files and targets exist (`programs.ts`)               |
 * | `sh run`, `sh serve`    | the same, and a test runs it (`run.test.ts`); `serve` starts a server for the blocks below   |
 * | `json`                  | it parses                                                                                    |
 * | `json job`, `json result`, `json file x`, `js file x`, `ini settings` | `handler/test/job-api.test.ts` runs the job    |
 * | `yaml`, `yaml manifest` | it parses; the schema of manifests accepts it                                                |
 * | `dockerfile`            | instructions, base image and arguments exist; `RUN` is checked like `sh`                     |
 * | `ini`                   | lines `NAME=value`; the variables exist                                                      |
 * | `js`                    | it parses                                                                                    |
 * | `text`                  | none: a drawing, or the output of a program                                                  |
 */
import { spawnSync } from 'node:child_process';
import { parse } from 'yaml';
import { ManifestSchema } from '../../lib/models/manifest/schema.ts';
import type { Fence } from './documents.ts';
import { imageSuffixes, isKnownVariable } from './names.ts';
import { problemsOf } from './programs.ts';
import { commandsOf } from './shell.ts';

type Rule = (fence: Fence) => readonly string[];

const RULES: Readonly<Record<string, Rule>> = {
  sh: shell,
  'sh run': shell,
  'sh serve': shell,
  json,
  'json job': json,
  'json result': json,
  'json file': json,
  'js file': js,
  'ini settings': variables,
  ini: variables,
  yaml: ({ code }) => problemIn(() => void parse(code)),
  'yaml manifest': ({ code }) => problemIn(() => ManifestSchema.parse(parse(code))),
  dockerfile,
  js,
  text: () => [],
};

/** @returns the problems of a code block. */
export function checkFence(fence: Fence): readonly string[] {
  const [kind = ''] = fence.kind.split(' ');
  const rule = RULES[`${fence.language} ${kind}`.trim()];
  if (rule) return rule(fence);
  return [`no rule for \`\`\`${fence.language} ${fence.kind} in scripts/docs/fences.ts`];
}

function shell({ code }: Fence): string[] {
  const parsed = spawnSync('bash', ['-n'], { input: code, encoding: 'utf8' });
  const commands = commandsOf(code);
  if (commands.length === 0) return ['there is no command in it'];
  return [...(parsed.stderr === '' ? [] : [parsed.stderr]), ...commands.flatMap(problemsOf)];
}

function json({ code }: Fence): string[] {
  return problemIn(() => void JSON.parse(code));
}

function js({ code }: Fence): string[] {
  const args = ['--input-type=module', '--check'];
  const { stderr, status } = spawnSync(process.execPath, args, { input: code, encoding: 'utf8' });
  return status === 0 ? [] : [stderr];
}

function variables({ code }: Fence): string[] {
  const lines = code.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.flatMap((line) => {
    const [, name] = /^(\w+)=/.exec(line) ?? [];
    if (name === undefined) return [`${line}: expected NAME=value`];
    return isKnownVariable(name) ? [] : [`unknown variable ${name}`];
  });
}

function dockerfile({ code }: Fence): string[] {
  const lines = code.replaceAll(/\\\n\s*/g, ' ').split('\n');
  const instructions = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return instructions.flatMap((line) => {
    const [, name = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? [];
    const check = INSTRUCTIONS[name];
    return check ? check(rest) : [`${line}: no rule for this instruction`];
  });
}

const INSTRUCTIONS: Readonly<Record<string, (rest: string) => string[]>> = {
  FROM: (image) => {
    const tag = /^\S+\/comfyui-worker:\S+?-(\S+)$/.exec(image)?.[1];
    if (tag === undefined) return [`FROM ${image}: expected an image of this project`];
    return imageSuffixes().includes(tag) ? [] : [`FROM ${image}: no such image is made`];
  },
  RUN: (rest) => commandsOf(rest.replaceAll(/--mount=\S+ /g, '')).flatMap(problemsOf),
  COPY: (rest) => (rest.split(' ').length >= 2 ? [] : [`COPY ${rest}: expected two paths`]),
  ENV: (rest) => {
    const names = [...rest.matchAll(/(\w+)=/g)].map(([, name = '']) => name);
    return names.filter((name) => !isKnownVariable(name)).map((name) => `unknown variable ${name}`);
  },
};

function problemIn(parsing: () => unknown): string[] {
  try {
    parsing();
    return [];
  } catch (error) {
    return [error instanceof SyntaxError ? error.message : String(error)];
  }
}
