// Pictures as buttons. value: [{src, label, alt, chosen}]. Only what changes is drawn, so that frames do not flicker and the
// focus stays. A click triggers "click" with {index}.
const draw = () => {
  const root = element.querySelector('.tiles');
  if (!root) return;
  const tiles = Array.isArray(props.value) ? props.value : [];
  while (root.children.length > tiles.length) root.lastElementChild.remove();
  tiles.forEach((tile, index) => {
    let button = root.children[index];
    if (!button) {
      button = document.createElement('button');
      button.type = 'button';
      button.innerHTML = '<img alt=""><span></span>';
      button.addEventListener('click', () => trigger('click', {index}));
      root.append(button);
    }
    const [image, text] = button.children;
    if (image.getAttribute('src') !== tile.src) image.setAttribute('src', tile.src);
    image.alt = tile.alt || '';
    text.textContent = tile.label || '';
    button.setAttribute('aria-pressed', tile.chosen ? 'true' : 'false');
    button.setAttribute('aria-label', [tile.alt, tile.label].filter(Boolean).join(', ') || `picture ${index + 1}`);
  });
};
draw();
watch('value', draw);
