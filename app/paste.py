"""Pasting a picture: what is pasted on the page becomes the file of the page's upload field."""

import streamlit as st

JAVASCRIPT = """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const note = parentElement.querySelector("span");

  function upload(file) {
    const field = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
    const files = new DataTransfer();
    files.items.add(new File([file], file.name || "pasted.png", { type: file.type }));
    field.files = files.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
    note.textContent = "";
  }

  function onPaste(event) {
    const file = event.clipboardData.files[0];
    if (file) { event.preventDefault(); upload(file); }
  }

  button.onclick = async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((each) => each.startsWith("image/"));
        if (type) { return upload(await item.getType(type)); }
      }
      note.textContent = "There is no picture in the clipboard: copy one first.";
    } catch {
      note.textContent = "The browser does not allow this: press Ctrl+V (on a Mac: ⌘V).";
    }
  };
  document.addEventListener("paste", onPaste);
  return () => document.removeEventListener("paste", onPaste);
}
"""
CSS = """
div { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; font-size: .875rem; }
button { font: inherit; color: inherit; cursor: pointer; padding: .25rem .75rem; background: transparent;
  border: 1px solid var(--st-border-color, gray); border-radius: var(--st-button-radius, .5rem); }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
"""
HTML = '<div>or press Ctrl+V, or <button type="button">Paste</button><span role="status"></span></div>'

_component = st.components.v2.component("paste", html=HTML, css=CSS, js=JAVASCRIPT)


def paste() -> None:
    """A button that pastes a picture into the page's upload field; Ctrl+V anywhere on the page does, too."""
    _component(key="paste")
