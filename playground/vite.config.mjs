import { Buffer } from 'node:buffer';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/**
 * GraphiQL's style sheets carry their fonts as `data:` addresses. Written out as files they need no `data:` in the page's
 * `font-src`, and a browser loads only the alphabets it shows.
 */
function fontsAsFiles() {
  return {
    name: 'fonts-as-files',
    enforce: 'post',
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'asset' || !file.fileName.endsWith('.css')) continue;
        file.source = String(file.source).replace(
          /url\(["']?data:font\/(\w+);base64,([A-Za-z0-9+/=]+)["']?\)/g,
          (_all, kind, base64) => {
            const ref = this.emitFile({ type: 'asset', name: `font.${kind}`, source: Buffer.from(base64, 'base64') });
            return `url("./${this.getFileName(ref).split('/').pop()}")`;
          },
        );
      }
    },
  };
}

/** Writes `x.gz` beside every file that shrinks, so that the server sends it without compressing at run time. */
function gzipBeside() {
  let folder;
  return {
    name: 'gzip-beside',
    apply: 'build',
    configResolved: ({ root, build }) => {
      folder = resolve(root, build.outDir);
    },
    // From the disk, when all is written: Vite fills in parts of the scripts after every other hook.
    closeBundle: async () => {
      for (const name of await readdir(folder, { recursive: true })) {
        if (!/\.(js|css|html|svg|ttf)$/.test(name)) continue;
        const bytes = await readFile(join(folder, name));
        const small = gzipSync(bytes, { level: 9 });
        if (small.length < bytes.length * 0.9) await writeFile(join(folder, `${name}.gz`), small);
      }
    },
  };
}

// `npm run dev` serves the page with hot reload against a running gateway.
const gateway = process.env.QUIPU_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/playground/',
  plugins: [react(), fontsAsFiles(), gzipBeside()],
  build: {
    target: 'es2022',
    // The page's policy forbids inline scripts and `data:` fonts: every asset stays a file.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    license: { fileName: 'licenses.md' },
  },
  server: {
    proxy: {
      '/graphql': { target: gateway, ws: true },
      '/playground/config.json': gateway,
    },
  },
});
