#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

enableCompileCache(); // before anything else is loaded: a container starts noticeably sooner the second time

const { main } = await import('./main.ts');
process.exit(await main({ environment: process.env, args: process.argv.slice(2) }));
