// The graph that both answer from: how it is put into the database, and how Quipu's registry comes to know of it.

import neo4j from 'neo4j-driver';

const facility = (id, name, region, city, floors, area, open, tags, ratings, grade) =>
  ({ labels: ['Facility'], properties: { id, name, region, city, floors, area, open, tags, ratings, grade } });
const device = (id, name, status, battery, weight, firmware) =>
  ({ labels: ['Device'], properties: { id, name, status, battery, weight, firmware } });
const alert = (id, severity, message, open) => ({ labels: ['Alert'], properties: { id, severity, message, open } });
const company = (id, name, country, founded) =>
  ({ labels: ['Company', 'Organisation'], properties: { id, name, country, founded } });
const note = (id, text, region) => ({ labels: ['Note'], properties: { id, text, region } });
const reply = (id, text) => ({ labels: ['Reply'], properties: { id, text } });
const draft = (id, owner, text) => ({ labels: ['Draft'], properties: { id, owner, text } });

// Ties, nulls, empty texts and lists, letters beyond ASCII, and characters that mean something in query languages.
export const nodes = [
  facility('f1', 'Aare Hub', 'north', 'Bern', 3, 1200.5, true, ['cold', 'hub'], [4, 5], 'A'),
  facility('f2', 'Basel Depot', 'north', 'Basel', 1, 300, true, ['depot'], [3], 'B'),
  facility('f3', 'Chur Depot', 'east', 'Chur', 1, 300, false, [], null, 'B'),
  facility('f4', 'Davos Store', 'east', null, 2, 0.25, true, ['cold'], [], null),
  facility('f5', 'École Réserve', 'west', 'Genève', null, null, false, ['cold', 'old'], [1, 1, 2], 'C'),
  facility('f6', "O'Brien's \"Annex\" \\ {x} `y` $z", 'west', '', 0, -5.5, true, ["a'b", 'c"d', 'e\\f'], [-3, 0], 'A'),
  facility('f7', 'aare annex', 'north', 'Bern', 3, 1200.5, false, ['hub', 'cold'], [5, 4], 'A'),
  facility('f8', 'Zug 100% _under', 'south', 'Zug', 12, 99999.125, true, ['cold', 'hub', 'big'], [5], null),
  device('d01', 'Freezer 1', 'ONLINE', 90, 55.5, '1.0.0'),
  device('d02', 'Freezer 2', 'ONLINE', 10, 55.5, '1.0.1'),
  device('d03', 'Fridge 1', 'DEGRADED', 55, 30, null),
  device('d04', 'Fridge 2', 'OFFLINE', null, null, '0.9'),
  device('d05', 'Sensor α', 'ONLINE', 100, 0.1, '2.0'),
  device('d06', 'Sensor β', 'ONLINE', 0, 0.1, '2.0'),
  device('d07', 'Sensor γ', 'OFFLINE', 0, 0.2, '2.1'),
  device('d08', 'sensor delta', 'DEGRADED', 55, 0.1, '2.0'),
  device('d09', 'Logger', 'ONLINE', 73, 1.25, ''),
  device('d10', 'Freezer 3', 'OFFLINE', 1, 60, '1.0.1'),
  device('d11', 'Spare', 'OFFLINE', null, null, null),
  device('d12', 'Gateway', 'ONLINE', 100, 2, '3.1'),
  alert('a01', 5, 'too warm', true), alert('a02', 3, 'too warm', false), alert('a03', 1, 'door open', true),
  alert('a04', 5, 'no signal', true), alert('a05', 2, 'door open', false), alert('a06', 3, 'battery low', true),
  alert('a07', 3, 'battery low', false), alert('a08', 4, 'too cold', true), alert('a09', 1, 'tilted', true),
  alert('a10', 5, 'no signal', false), alert('a11', 2, 'lost', true), alert('a12', 4, '', false),
  company('c1', 'Frost AG', 'CH', 1999), company('c2', 'Glacier GmbH', 'DE', 2000),
  company('c3', 'Hielo SA', 'ES', 2010), company('c4', 'Iceworks', null, null), company('c5', 'Zero Kelvin', 'CH', 2000),
  note('n1', 'inspect north', 'north'), note('n2', 'clean north', 'north'), note('n3', 'inspect east', 'east'),
  note('n4', 'west is closed', 'west'), note('n5', 'of nothing', 'south'),
  reply('r1', 'done'), reply('r2', 'done'), reply('r3', 'later'), reply('r4', 'never'), reply('r5', 'alone'),
  draft('w1', 'ada', 'first'), draft('w2', 'ada', 'second'), draft('w3', 'bob', 'third'),
];

export const relationships = [
  ['f1', 'HAS_DEVICE', 'd01', { slot: 1, purpose: 'keep', active: true }],
  ['f1', 'HAS_DEVICE', 'd02', { slot: 2, purpose: 'keep', active: false }],
  ['f1', 'HAS_DEVICE', 'd05', { slot: 3, purpose: 'measure', active: true }],
  ['f2', 'HAS_DEVICE', 'd03', { slot: 1, purpose: 'keep', active: true }],
  ['f2', 'HAS_DEVICE', 'd05', { slot: 2, purpose: null, active: null }],
  ['f3', 'HAS_DEVICE', 'd04', { slot: 7, purpose: 'keep', active: false }],
  ['f4', 'HAS_DEVICE', 'd06', { slot: 1, purpose: 'measure', active: true }],
  ['f4', 'HAS_DEVICE', 'd07', { slot: 1, purpose: 'measure', active: true }],
  ['f4', 'HAS_DEVICE', 'd08', { slot: 2, purpose: 'spare', active: false }],
  ['f6', 'HAS_DEVICE', 'd09', { slot: 0, purpose: '', active: true }],
  ['f7', 'HAS_DEVICE', 'd10', { slot: -1, purpose: 'keep', active: true }],
  ['f8', 'HAS_DEVICE', 'd12', { slot: 9, purpose: 'relay', active: true }],
  ['f8', 'HAS_DEVICE', 'd01', { slot: 4, purpose: 'keep', active: null }],
  ['d01', 'RAISED', 'a01', {}], ['d01', 'RAISED', 'a02', {}], ['d02', 'RAISED', 'a03', {}], ['d03', 'RAISED', 'a04', {}],
  ['d03', 'RAISED', 'a05', {}], ['d03', 'RAISED', 'a06', {}], ['d04', 'RAISED', 'a07', {}], ['d06', 'RAISED', 'a08', {}],
  ['d07', 'RAISED', 'a09', {}], ['d10', 'RAISED', 'a10', {}], ['d12', 'RAISED', 'a11', {}],
  ['f1', 'RUN_BY', 'c1', {}], ['f2', 'RUN_BY', 'c1', {}], ['f2', 'RUN_BY', 'c2', {}], ['f3', 'RUN_BY', 'c3', {}],
  ['f7', 'RUN_BY', 'c4', {}], ['f8', 'RUN_BY', 'c5', {}],
  ['d01', 'MADE_BY', 'c2', { year: 2018, lot: 'x1' }], ['d02', 'MADE_BY', 'c2', { year: 2019, lot: 'x2' }],
  ['d03', 'MADE_BY', 'c3', { year: 2018, lot: null }], ['d05', 'MADE_BY', 'c5', { year: null, lot: 'x1' }],
  ['d06', 'MADE_BY', 'c5', { year: 2020, lot: 'x1' }], ['d05', 'MADE_BY', 'c2', { year: 2021, lot: 'z' }],
  ['f1', 'NEAR', 'f2', { km: 95.5, road: 'A1' }], ['f2', 'NEAR', 'f1', { km: 95.5, road: 'A1' }],
  ['f1', 'NEAR', 'f7', { km: 0.5, road: null }], ['f3', 'NEAR', 'f4', { km: 60, road: 'A28' }],
  ['f8', 'NEAR', 'f1', { km: 120.25, road: 'A4' }], ['f8', 'NEAR', 'f8', { km: 0, road: null }],
  ['n1', 'ABOUT', 'f1', {}], ['n2', 'ABOUT', 'f1', {}], ['n2', 'ABOUT', 'f2', {}], ['n3', 'ABOUT', 'f3', {}],
  ['n4', 'ABOUT', 'f6', {}],
  ['n1', 'ANSWERED_BY', 'r1', {}], ['n1', 'ANSWERED_BY', 'r3', {}], ['n3', 'ANSWERED_BY', 'r2', {}],
  ['n3', 'ANSWERED_BY', 'r3', {}], ['n4', 'ANSWERED_BY', 'r4', {}],
];

/// Properties that are doubles also where their value is whole.
const DOUBLES = new Set(['area', 'weight', 'km']);

const stored = (properties) => Object.fromEntries(Object.entries(properties)
  .filter(([, value]) => value !== null)
  .map(([name, value]) => [name, whole(value, DOUBLES.has(name))]));

const whole = (value, double) => {
  if (Array.isArray(value)) return value.map((item) => whole(item, double));
  return typeof value === 'number' && !double ? neo4j.int(value) : value;
};

/** Brings the database to the state that every case begins with. What belongs to the gateway itself stays. */
export async function reset(session) {
  await session.executeWrite(async (transaction) => {
    await transaction.run('MATCH (n) WHERE NOT n:_Quipu DETACH DELETE n');
    await transaction.run('UNWIND $nodes AS row CREATE (n:$(row.labels)) SET n = row.properties', {
      nodes: nodes.map(({ labels, properties }) => ({ labels, properties: stored(properties) })),
    });
    await transaction.run(
      `UNWIND $all AS row MATCH (a {id: row[0]}) WHERE NOT a:_Quipu MATCH (b {id: row[2]}) WHERE NOT b:_Quipu
       CREATE (a)-[r:$(row[1])]->(b) SET r = row[3]`,
      { all: relationships.map(([from, type, to, properties]) => [from, type, to, stored(properties)]) },
    );
  });
}

/** All that is in the database, as sorted lines; ids that were made up are named by their order. */
export async function dump(session) {
  const made = /^[0-9A-HJKMNP-TV-Z]{26}$/;
  const written = (labels, properties) =>
    `${[...labels].sort().join(':')} ${JSON.stringify(Object.entries(properties).filter(([name]) => !name.startsWith('_')).sort())}`;
  const shown = (properties) => Object.fromEntries(Object.entries(properties)
    .map(([name, value]) => [name, made.test(value) ? 'made' : value]));
  return session.executeRead(async (transaction) => {
    const found = await transaction.run('MATCH (n) WHERE NOT n:_Quipu RETURN labels(n) AS labels, properties(n) AS properties');
    const links = await transaction.run(
      'MATCH (a)-[r]->(b) RETURN a.id AS a, type(r) AS type, b.id AS b, properties(r) AS properties');
    return [
      ...found.records.map((record) => written(record.get('labels'), shown(record.get('properties')))),
      ...links.records.map((record) => {
        const [a, b] = ['a', 'b'].map((end) => (made.test(record.get(end)) ? 'made' : record.get(end)));
        return `${a} -> ${b} ${written([record.get('type')], record.get('properties'))}`;
      }),
    ].sort();
  });
}

const ofType = (type) => nodes.filter(({ labels }) => labels[0] === type).map(({ properties }) => properties);
const linked = (from, type) => relationships.filter((link) => link[0] === from && link[1] === type);
const connect = (from, type, edge) => ({
  connect: linked(from, type).map(([, , to, properties]) =>
    ({ where: { node: { id: { eq: to } } }, ...(edge ? { edge: properties } : {}) })),
});

/** What makes the same graph through the gateway, after removing what is there: who sends it, the text and its variables. */
export function seeding() {
  const inputs = {
    Alerts: ofType('Alert'),
    Companies: ofType('Company'),
    Replies: ofType('Reply'),
    Devices: ofType('Device').map((made) =>
      ({ ...made, alerts: connect(made.id, 'RAISED'), makers: connect(made.id, 'MADE_BY', true) })),
    Facilities: ofType('Facility').map((made) =>
      ({ ...made, devices: connect(made.id, 'HAS_DEVICE', true), operator: connect(made.id, 'RUN_BY') })),
    Notes: ofType('Note').map((made) =>
      ({ ...made, about: connect(made.id, 'ABOUT'), replies: connect(made.id, 'ANSWERED_BY') })),
  };
  const near = [...new Set(relationships.filter((link) => link[1] === 'NEAR').map((link) => link[0]))];
  const drafts = ['ada', 'bob'].map((owner) => ({
    sub: owner,
    text: `mutation($input: [DraftCreateInput!]!) {
      deleteDrafts(where: {owner: {eq: "${owner}"}}) { nodesDeleted }
      createDrafts(input: $input) { info { nodesCreated } }
    }`,
    variables: { input: ofType('Draft').filter((made) => made.owner === owner) },
  }));
  return [{ sub: 'seed', ...everything(inputs, near) }, ...drafts];
}

/** One mutation with a field for each thing to do: removing all of a type, creating all of it, and linking facilities to each other. */
function everything(inputs, near) {
  const variables = { ...inputs, ...Object.fromEntries(near.map((from) => [from, connect(from, 'NEAR', true)])) };
  const types = Object.keys(inputs);
  const declared = [
    ...types.map((name) => `$${name}: [${singular(name)}CreateInput!]!`),
    ...near.map((from) => `$${from}: FacilityNeighboursUpdateFieldInput!`),
  ];
  const fields = [
    ...types.map((name) => `delete${name}(where: {}) { nodesDeleted }`),
    ...types.map((name) => `create${name}(input: $${name}) { info { nodesCreated } }`),
    ...near.map((from) => `${from}: updateFacilities(where: {id: {eq: "${from}"}}, update: {neighbours: [$${from}]}) { info { relationshipsCreated } }`),
  ];
  return { text: `mutation(${declared}) { ${fields.join(' ')} }`, variables };
}

const singular = (name) => name.replace(/ies$/, 'y').replace(/s$/, '');
