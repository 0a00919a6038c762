// Event streams as text.

/** HTML Standard, "Interpreting an event stream", in its plainest form. A block without its empty line is no event. */
export class Decoder {
  #text = new TextDecoder();
  #rest = '';
  #block = [];
  last;

  constructor(take) {
    this.take = take;
  }

  feed(bytes) {
    const lines = (this.#rest + this.#text.decode(bytes, { stream: true })).split('\n'); // the hub ends lines with LF
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === '') this.#dispatch();
      else this.#block.push(line);
    }
  }

  #dispatch() {
    const data = [];
    let type = 'message';
    for (const line of this.#block) {
      const [, field, value = ''] = line.match(/^([^:]*)(?:: ?(.*))?$/su);
      if (field === 'data') data.push(value);
      if (field === 'event') type = value;
      if (field === 'id') this.last = value;
    }
    this.#block = [];
    if (data.length) this.take({ type, data: data.join('\n'), id: this.last });
  }
}
