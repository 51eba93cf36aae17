// A DOM parser for node, where the browser's is not there.
import { DOMParser } from '@xmldom/xmldom';

class StrictParser {
  parseFromString(text, type) {
    const onError = (level, message) => { if (level !== 'warning') throw new Error(message); };
    return new DOMParser({ onError }).parseFromString(text, type);
  }
}

globalThis.DOMParser ??= StrictParser;
