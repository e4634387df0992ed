/**
 * Finds the node an error is about. The worker writes `• Node 4 (KSampler "Sample"): ...` for a workflow that was refused, and
 * `Node Type: KSampler, Node ID: 4, Message: ...` for a node that failed.
 *
 * @typedef {object} Problem
 * @property {string} text
 * @property {string} [nodeId] absent when it names no node of the workflow
 */

/**
 * @param {readonly string[]} messages
 * @param {ReadonlySet<string>} nodeIds
 * @returns {Problem[]}
 */
export function toProblems(messages, nodeIds) {
  return messages
    .flatMap(toLines)
    .filter((line) => line !== '')
    .map((line) => toProblem(line, nodeIds));
}

/** Each bullet is one problem. Other texts may have several lines and stay whole. @param {string} message */
function toLines(message) {
  const lines = message.includes('\n•') ? message.split('\n') : [message];
  return lines.map((line) => line.trim());
}

/**
 * @param {string} line
 * @param {ReadonlySet<string>} nodeIds
 * @returns {Problem}
 */
function toProblem(line, nodeIds) {
  const [, named] = BY_FAILURE.exec(line) ?? BY_BULLET.exec(line) ?? [];
  const nodeId = named && nodeInWorkflow(named, nodeIds);
  return nodeId ? { nodeId, text: withoutNode(line) } : { text: line };
}

/**
 * Nodes created by expansion have ids such as `5.0.0.1` or `5:2`. The number in front is the node in the workflow.
 *
 * @param {string} named
 * @param {ReadonlySet<string>} nodeIds
 */
function nodeInWorkflow(named, nodeIds) {
  return [named, named.replace(/[.:].*/, '')].find((id) => nodeIds.has(id));
}

/** The message is shown at its node, so the name of the node is cut off. @param {string} line */
const withoutNode = (line) =>
  line
    .replace(/^•?\s*Node \S+ \([^"()]*(?:"(?:[^"\\]|\\.)*")?\):\s*/, '')
    .replace(FAILURE_HEAD, '');

const FAILURE_HEAD = /^Workflow execution error: Node Type: .*?, Node ID: \S+, Message:\s*/;
const BY_FAILURE = /Node ID: ([^,\s]+)/;
const BY_BULLET = /^•?\s*Node (\S+?):? ?(?=\(|:|\s)/;
