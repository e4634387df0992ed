/** An error answer in S3's format. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  /** Further elements of the XML. */
  readonly extra: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    extra: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.extra = extra;
  }

  toXml(): string {
    const elements = { Code: this.code, Message: this.message, ...this.extra };
    const inner = Object.entries(elements).map(
      ([name, text]) => `<${name}>${escape(text)}</${name}>`,
    );
    return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner.join('')}</Error>`;
  }
}

function escape(text: string): string {
  return text.replace(/[<>&]/g, (character) => `&#${character.charCodeAt(0)};`);
}
