// Pictures in a plane. value: [{x, y, src, label, kind}] with x and y from 0 to 1. A click triggers "click" with {x, y}.
const draw = () => {
  const root = element.querySelector('.plane');
  if (!root) return;
  const points = Array.isArray(props.value) ? props.value : [];
  root.replaceChildren(...points.map((point) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = point.kind || '';
    button.style.left = `${100 * point.x}%`;
    button.style.top = `${100 * point.y}%`;
    button.title = point.label || '';
    button.setAttribute('aria-label', point.label || 'picture');
    button.append(Object.assign(document.createElement('img'), {src: point.src, alt: ''}));
    button.addEventListener('click', (event) => { event.stopPropagation(); trigger('click', {x: point.x, y: point.y}); });
    return button;
  }));
};
element.addEventListener('click', (event) => {
  const root = element.querySelector('.plane');
  const box = root?.getBoundingClientRect();
  if (!box || !root.contains(event.target)) return;
  trigger('click', {x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height});
});
draw();
watch('value', draw);
