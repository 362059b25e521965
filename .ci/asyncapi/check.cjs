// Asks AsyncAPI's own parser about a document, references to other files followed. Ends with 1 if it finds an error or has a
// warning to give; hints are only printed.
const { Parser, fromFile } = require('@asyncapi/parser');

const WARNING = 1;

async function main(file) {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  for (const { severity, code, path, message } of diagnostics) {
    console.log(`${['error', 'warning', 'information', 'hint'][severity]} ${code} at /${path.join('/')}: ${message}`);
  }
  if (!document || diagnostics.some(({ severity }) => severity <= WARNING)) {
    return 1;
  }
  const messages = document.channels().all().flatMap((channel) => channel.messages().all());
  const bare = messages.filter((message) => !message.json().payload?.schema?.properties);
  bare.forEach((message) => console.log(`error: the payload of ${message.id()} is not the schema of an event`));
  console.log(`${file}: AsyncAPI ${document.version()}, ${document.channels().all().length} channels, ${messages.length} messages`);
  return messages.length === 0 || bare.length > 0 ? 1 : 0;
}

main(process.argv[2]).then((status) => process.exit(status));
