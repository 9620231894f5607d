// The chosen theme before the first paint. A file of its own: the content security policy allows no inline script.
(function () {
  try {
    var theme = localStorage.getItem('postern.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is switched off: the system's theme it is.
  }
})();
