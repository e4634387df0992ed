/**
 * A binary heap with exactly the layout of Python's `heapq`, because ComfyUI's `/queue` shows the heap as it is.
 * If `isBefore` throws during a push, the new item stays in the heap, as in Python.
 */
export class Heap<T> {
  readonly #items: T[] = [];
  readonly #isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  /** In heap order: only the first item is sure to be the smallest. */
  get items(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(0, this.#items.length - 1);
  }

  pop(): T | undefined {
    const last = this.#items.pop();
    const first = this.#items[0];
    if (last === undefined || first === undefined) return last;
    this.#items[0] = last;
    this.#sink(0);
    return first;
  }

  remove(item: T): void {
    this.#items.splice(this.#items.indexOf(item), 1);
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  clear(): void {
    this.#items.length = 0;
  }

  #rise(top: number, from: number): void {
    const item = this.#at(from);
    let at = from;
    while (at > top) {
      const up = (at - 1) >> 1;
      const parent = this.#at(up);
      if (!this.#isBefore(item, parent)) break;
      this.#items[at] = parent;
      at = up;
    }
    this.#items[at] = item;
  }

  /** As `heapq._siftup`: moves smaller children up to a leaf, then lets the item rise from there. */
  #sink(from: number): void {
    const item = this.#at(from);
    let at = from;
    for (let child = this.#smallerChild(at); child !== undefined; child = this.#smallerChild(at)) {
      this.#items[at] = this.#at(child);
      at = child;
    }
    this.#items[at] = item;
    this.#rise(from, at);
  }

  #smallerChild(at: number): number | undefined {
    const left = 2 * at + 1;
    const right = left + 1;
    if (left >= this.#items.length) return undefined;
    if (right >= this.#items.length) return left;
    return this.#isBefore(this.#at(left), this.#at(right)) ? left : right;
  }

  #at(index: number): T {
    const item = this.#items[index];
    if (item === undefined) throw new RangeError(`The heap has no item ${index}`);
    return item;
  }
}
