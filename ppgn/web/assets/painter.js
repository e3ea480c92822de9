// A picture on which a hole is painted. value: {picture, width, height, mask}: the picture as a data URL, its size in pixels, and
// the mask as a PNG of that size, white where the hole is. Four numbers and a button do it without a mouse.
const scale = 6;
let canvas, context, drawn = '', down = false;
const size = () => [props.value?.width || 64, props.value?.height || 64];
const save = () => {
  const [width, height] = size();
  const small = document.createElement('canvas');
  Object.assign(small, {width, height});
  const one = small.getContext('2d');
  one.imageSmoothingEnabled = false;
  one.fillRect(0, 0, width, height);
  one.drawImage(canvas, 0, 0, width, height);
  props.value = {...props.value, mask: small.toDataURL('image/png')};
};
const place = (event) => {
  const box = canvas.getBoundingClientRect();
  const [width, height] = size();
  return [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height];
};
const brush = () => Number(element.querySelector('.brush').value);
const fill = (left, top, across, below) => {
  context.fillStyle = '#fff';
  context.fillRect(Math.round(left) * scale, Math.round(top) * scale, across * scale, below * scale);
};
const paint = (event) => {
  const [x, y] = place(event), side = brush();
  fill(x - side / 2, y - side / 2, side, side);
};
const clear = () => { context.clearRect(0, 0, canvas.width, canvas.height); save(); };
const draw = () => {
  canvas = element.querySelector('canvas');
  if (!canvas) return;
  const [width, height] = size();
  const picture = element.querySelector('.under');
  const shown = props.value?.picture || '';
  element.querySelector('.painter').hidden = !shown;
  if (!shown) drawn = '';
  if (shown && shown !== drawn) {
    drawn = shown;
    picture.src = shown;
    Object.assign(canvas, {width: width * scale, height: height * scale});
    context = canvas.getContext('2d');
    for (const [name, value] of [['.left', width / 4], ['.top', height / 4], ['.across', width / 2], ['.below', height / 2]]) {
      element.querySelector(name).value = Math.round(value);
    }
  }
};
const listen = () => {
  canvas = element.querySelector('canvas');
  canvas.addEventListener('pointerdown', (event) => { down = true; canvas.setPointerCapture(event.pointerId); paint(event); });
  canvas.addEventListener('pointermove', (event) => { if (down) paint(event); });
  canvas.addEventListener('pointerup', () => { if (down) { down = false; save(); } });
  element.querySelector('.clear').addEventListener('click', clear);
  element.querySelector('.add').addEventListener('click', () => {
    const [left, top, across, below] = ['.left', '.top', '.across', '.below'].map((name) => Number(element.querySelector(name).value));
    fill(left, top, across, below);
    save();
  });
};
listen();
draw();
watch('value', draw);
