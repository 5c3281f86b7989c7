/** Light, dark, or as the system says; remembered in `localStorage`. */
import { useEffect, useLayoutEffect, useState } from 'react';
import { useMonaco } from '@graphiql/react';

export type Choice = 'system' | 'light' | 'dark';
export type Theme = 'light' | 'dark';

const KEY = 'quipu:theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** The names under which the editors know the two themes. */
export const EDITOR_THEME = { light: 'quipu-light', dark: 'quipu-dark' } as const;

export function useTheme() {
  const [choice, setChoice] = useState<Choice>(() => {
    const stored = localStorage.getItem(KEY);
    return stored === 'light' || stored === 'dark' ? stored : 'system';
  });
  const [systemDark, setSystemDark] = useState(dark.matches);
  useEffect(() => {
    const follow = () => setSystemDark(dark.matches);
    dark.addEventListener('change', follow);
    return () => dark.removeEventListener('change', follow);
  }, []);
  const theme: Theme = choice === 'system' ? (systemDark ? 'dark' : 'light') : choice;
  useLayoutEffect(() => {
    document.body.classList.toggle('graphiql-dark', theme === 'dark');
    document.body.classList.toggle('graphiql-light', theme === 'light');
    document.documentElement.style.colorScheme = theme;
  }, [theme]);
  const choose = (next: Choice) => {
    localStorage.setItem(KEY, next);
    setChoice(next);
  };
  return { choice, theme, choose };
}

const RULES = {
  light: { keyword: 'a8431f', field: '1d5c8c', argument: '6a4fb3', type: '0f766e', string: '7a6207', number: '0f766e', comment: '8b8f98' },
  dark: { keyword: 'f0875e', field: '8cc4f2', argument: 'b9a5f5', type: '5fd0c0', string: 'e3c27a', number: '5fd0c0', comment: '757d8c' },
};

/** Teaches the editors the page's measures and colours as soon as they are there. */
export function useEditorTheme(theme: Theme) {
  const monaco = useMonaco((state) => state.monaco);
  useEffect(() => {
    if (!monaco) return;
    // GraphiQL fixes these when it makes an editor, so they are set afterwards.
    const { editor: api } = monaco;
    const setEditor = (editor: ReturnType<typeof api.getEditors>[number]) =>
      editor.updateOptions({
        fontSize: 13.5,
        wordWrap: 'on',
        // Answers hold prose: a dash in it is no attempt to deceive.
        unicodeHighlight: { ambiguousCharacters: false },
      });
    const setModel = (model: ReturnType<typeof api.getModels>[number]) =>
      model.updateOptions({ bracketColorizationOptions: { enabled: false, independentColorPoolPerBracketType: false } });
    api.getEditors().forEach(setEditor);
    api.getModels().forEach(setModel);
    const later = [api.onDidCreateEditor(setEditor), api.onDidCreateModel(setModel)];
    return () => later.forEach((one) => one.dispose());
  }, [monaco]);
  useEffect(() => {
    if (!monaco) return;
    for (const name of ['light', 'dark'] as const) {
      const colour = RULES[name];
      const accent = name === 'light' ? '#b5471f' : '#f0875e';
      const surface = name === 'light' ? '#ffffff' : '#1a1d24';
      monaco.editor.defineTheme(EDITOR_THEME[name], {
        base: name === 'light' ? 'vs' : 'vs-dark',
        inherit: true,
        rules: [
          { token: 'keyword.gql', foreground: colour.keyword },
          { token: 'key.identifier.gql', foreground: colour.field },
          { token: 'argument.identifier.gql', foreground: colour.argument },
          { token: 'type.identifier.gql', foreground: colour.type },
          { token: 'string.gql', foreground: colour.string },
          { token: 'number.gql', foreground: colour.number },
          { token: 'comment.gql', foreground: colour.comment, fontStyle: 'italic' },
          { token: 'string.key.json', foreground: colour.field },
          { token: 'string.value.json', foreground: colour.string },
          { token: 'number.json', foreground: colour.number },
          { token: 'keyword.json', foreground: colour.keyword },
        ],
        colors: {
          'editor.background': '#ffffff00',
          'editorLineNumber.foreground': name === 'light' ? '#b3aea4' : '#4b515e',
          'editorLineNumber.activeForeground': name === 'light' ? '#6d6a64' : '#8b93a3',
          'editorIndentGuide.background1': name === 'light' ? '#e4e0d8' : '#2b2f39',
          'editorIndentGuide.activeBackground1': name === 'light' ? '#cfc9bd' : '#454b58',
          'editorHoverWidget.background': surface,
          'editorSuggestWidget.background': surface,
          'editorSuggestWidget.selectedBackground': `${accent}22`,
          'editorSuggestWidget.highlightForeground': accent,
          'editorWidget.background': surface,
          'menu.background': surface,
          'menu.selectionBackground': `${accent}22`,
          'quickInput.background': surface,
          'scrollbar.shadow': '#00000000',
          'textLink.foreground': accent,
          focusBorder: accent,
        },
      });
    }
    monaco.editor.setTheme(EDITOR_THEME[theme]);
  }, [monaco, theme]);
}
