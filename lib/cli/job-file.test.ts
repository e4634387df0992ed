import { expect, test } from '@jest/globals';
import { toJob, withImages, withInputs, withMember } from './job-file.ts';

const NODES = '{"2": {"class_type":"A","inputs":{"cfg":1.0}}, "1": {"class_type":"B","inputs":{}}}';

test.each([
  ['a bare workflow', NODES, `{"input":{"workflow":${NODES}}}`],
  ['an input', `{"workflow":${NODES}}`, `{"input":{"workflow":${NODES}}}`],
  ['a job', `{"input" : {"workflow":${NODES}}}`, `{"input" : {"workflow":${NODES}}}`],
  [
    'what the editor posts',
    `{"client_id":"x","prompt":${NODES}}`,
    `{"input":{"workflow":${NODES}}}`,
  ],
  [
    'an input in a string',
    `{"input":${JSON.stringify('{"workflow":{}}')}}`,
    '{"input":{"workflow":{}}}',
  ],
  ['a file with a byte order mark', `\uFEFF${NODES}`, `{"input":{"workflow":${NODES}}}`],
])('%s becomes a job with the same text', (_, text, job) => {
  expect(toJob(text, 'x').text).toBe(job);
});

test('images are added, and take the place of those of the same name', () => {
  const job = toJob(
    '{"input":{"workflow":{},"images":[{"name":"a","image":"1"},{"name":"b","image":"2"}]}}',
    'x',
  );
  const { text } = withImages(job, [
    { name: 'b', image: '3' },
    { name: 'c', image: '4' },
  ]);
  expect(JSON.parse(text)).toMatchObject({
    input: {
      images: [
        { name: 'a', image: '1' },
        { name: 'b', image: '3' },
        { name: 'c', image: '4' },
      ],
    },
  });
  expect(withImages(toJob(NODES, 'x'), [{ name: 'a', image: '' }]).text).toBe(
    `{"input":{"workflow":${NODES},"images":[{"name":"a","image":""}]}}`,
  );
});

test('inputs are set inside of the job, and only there', () => {
  const job = toJob(`{"input":{"workflow":${NODES}},"note":"\\u0041"}`, 'x');
  expect(withInputs(job, ['A.cfg=2']).text).toBe(job.text.replace('1.0', '2'));
  expect(withInputs(job, [])).toBe(job);
});

test('a member is set where it is, or comes last', () => {
  const job = toJob('{"webhook" : "a" , "input":{} }', 'x');
  expect(withMember(job, 'webhook', '"b"').text).toBe('{"webhook" : "b" , "input":{} }');
  expect(withMember(job, 'policy', '{}').text).toBe('{"webhook" : "a" , "input":{},"policy":{}}');
});
