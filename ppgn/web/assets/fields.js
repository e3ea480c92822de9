// The form of a recipe. value: {groups: [{title, about, open, fields: [{name, kind, value, choices, high, step, member}]}], ...}.
// Typing writes into value; another member triggers "select" with {name}, and the server sends the fields that it has.
const numberInput = (label, value, step, set) => {
  const input = document.createElement('input');
  Object.assign(input, {type: 'number', step: String(step), value: String(value)});
  input.setAttribute('aria-label', label);
  input.addEventListener('input', () => { if (input.value !== '') set(Number(input.value)); });
  return input;
};
const slider = (label, value, high, step, set) => {
  const range = document.createElement('input');
  Object.assign(range, {type: 'range', min: '0', max: String(high), step: step === 'any' ? String(high / 400) : String(step)});
  range.value = String(value);
  range.setAttribute('aria-label', label + ', slider');
  const exact = numberInput(label, value, step, (one) => { range.value = String(one); set(one); });
  range.addEventListener('input', () => { exact.value = String(Number(Number(range.value).toPrecision(4))); set(Number(exact.value)); });
  const both = document.createElement('span');
  both.className = 'pair';
  both.append(range, exact);
  return both;
};
const named = (name, part) => {
  part.prepend(Object.assign(document.createElement('small'), {textContent: name}));
  return part;
};
const control = (field) => {
  const plain = field.name.replaceAll('_', ' ');
  if (field.kind === 'choice') {
    const select = document.createElement('select');
    select.setAttribute('aria-label', plain);
    for (const name of field.choices) select.add(new Option(name, name, false, name === field.value));
    select.addEventListener('change', () => {
      field.value = select.value;
      save();
      if (field.member) trigger('select', {name: field.name, choice: field.value});
    });
    return select;
  }
  if (field.kind === 'switch') {
    const box = document.createElement('input');
    Object.assign(box, {type: 'checkbox', checked: field.value});
    box.setAttribute('aria-label', plain);
    box.addEventListener('change', () => { field.value = box.checked; save(); });
    return box;
  }
  if (field.kind === 'number') return slider(plain, field.value, field.high, field.step, (one) => { field.value = one; save(); });
  const ends = document.createElement('span');
  ends.className = 'ends';
  ['start', 'end'].forEach((name, place) => ends.append(named(name, slider(`${plain}, ${name}`, field.value[place], field.high, field.step,
    (one) => { field.value = Object.assign([...field.value], {[place]: one}); save(); }))));
  return ends;
};
let groups = [];
const save = () => { props.value = {...props.value, groups: structuredClone(groups)}; };
const draw = () => {
  const root = element.querySelector('.fields');
  if (!root) return;
  const first = !root.children.length;
  const opened = new Set([...root.querySelectorAll('details[open]')].map((one) => one.dataset.title));
  const sent = props.value?.groups || [];
  if (!first && JSON.stringify(sent) === JSON.stringify(groups)) return;
  groups = structuredClone(sent);
  root.replaceChildren(...groups.map((group) => {
    const details = document.createElement('details');
    details.dataset.title = group.title;
    details.open = first ? group.open : opened.has(group.title);
    const summary = document.createElement('summary');
    summary.textContent = group.title;
    details.append(summary);
    if (group.about) details.append(Object.assign(document.createElement('p'), {textContent: group.about}));
    for (const field of group.fields) {
      const row = document.createElement('div');
      row.className = 'row';
      row.append(Object.assign(document.createElement('span'), {textContent: field.name.replaceAll('_', ' ')}), control(field));
      details.append(row);
    }
    return details;
  }));
};
draw();
watch('value', draw);
