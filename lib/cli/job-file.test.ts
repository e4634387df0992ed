import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { toJob as toJobOf, withImages, withInputs, withMember } from './job-file.ts';

const toJob = (text: string, file: string) => toJobOf(JsonText.parse(text), file);

const NODES = '{"2": {"class_type":"A","inputs":{"cfg":1.0}}, "1": {"class_type":"B","inputs":{}}}';
const EDITOR = '{"nodes":[{"id":1,"type":"A"}],"links":[]}';

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
  ['a file of the editor', EDITOR, `{"input":{"workflow":${EDITOR}}}`],
  ['a workflow called by name', '{"workflow":"x"}', '{"input":{"workflow":"x"}}'],
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

test.each([
  ['"text"', /it is a JSON string/],
  ['{"templates":[]}', /it is a file of the editor's node templates$/],
  [
    '{"1":{"class_type":"A"}}',
    /it has nodes in API format, but "1" has no class_type or no inputs/,
  ],
  ['{"input":[]}', /its "input" is of kind array/],
])('%s is refused as a job, and named', (text, message) => {
  expect(() => toJob(text, 'x.json')).toThrow(message);
});

test('--set works on a file of the editor and on a workflow called by name, as overrides', () => {
  const set = (workflow: string) =>
    withInputs(toJob(`{"input":{"workflow":${workflow},"overrides":{"1.a":1.0,"1.b":2}}}`, 'x'), [
      '1.b=18446744073709551615',
      'Text.text=a cat',
    ])
      .get('input')
      ?.get('overrides')?.text;
  const overrides = '{"1.a":1.0,"1.b":18446744073709551615,"Text.text":"a cat"}';
  expect(set(EDITOR)).toBe(overrides);
  expect(set('"portrait"')).toBe(overrides);
  expect(() => withInputs(toJob(EDITOR, 'x'), ['seed'])).toThrow(/^Expected node.input=value/);
});
