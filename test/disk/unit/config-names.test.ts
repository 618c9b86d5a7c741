import { describe, expect, it } from 'vitest'
import { isConfigName } from '../../../src/disk/config-names.js'

describe('isConfigName', () => {
  it.each([
    // At least the first and the last name of each line of the list.
    ...['package.json', 'pnpmfile.js', 'tsconfig.json', 'rush.json', 'turbo.json', 'gulpfile.mjs'],
    ...['wrangler.toml', 'node_modules', 'sitecustomize.py', 'noxfile.py', 'fabfile.py', 'mypy.ini'],
    ...[
      'makefile',
      'ctestconfig.cmake',
      'meson.build',
      'settings.gradle.kts',
      'gradle.properties',
      'cargo.lock',
    ],
    ...['rust-toolchain', 'jakefile', 'justfile', 'module.bazel', 'tiltfile', 'cabal.project'],
    ...['dune', 'directory.build.props', 'directory.build.targets', 'brewfile'],
    ...['dockerfile', 'docker-compose.override.yml', 'docker-compose.override.yaml', 'vagrantfile'],
    ...[
      'procfile',
      'azure-pipelines.yml',
      'bitbucket-pipelines.yml',
      'ansible.cfg',
      'web.config',
      'modelfile',
    ],
    ...['desktop.ini', 'folder.htt'],
    // File systems that do not distinguish them open these as well.
    ...['Makefile', 'Dockerfile', 'Modelfile', 'CMakeLists.txt', 'PACKAGE.JSON', 'Desktop.ini'],
    // The configuration of any tool.
    ...[
      'vite.config.ts',
      'eslint.config.mjs',
      'jest.config.cjs',
      'next.config.js',
      'a.config.mts',
      'A.CONFIG.JS',
    ],
    ...['b.config.cts'],
    // Hidden ones.
    ...['.env', '.npmrc', '.bashrc', '.gitattributes', '.', '.model.gguf'],
  ])('%s', (name) => {
    expect(isConfigName(name)).toBe(true)
  })

  it.each([
    ...[
      '',
      ' ',
      'model.gguf',
      'model.safetensors',
      'config.json',
      'tokenizer.json',
      'generation_config.json',
    ],
    ...['README.md', 'LICENSE', 'requirements.txt', 'modeling_qwen.py', 'tokenizer.model', 'model.config'],
    // Near a name of the list, and not one.
    ...[
      'package.json.bak',
      'my-package.json',
      'makefile.txt',
      'a.makefile',
      'build.gguf',
      'dockerfile-model',
    ],
    // Near the configuration of a tool, and not one.
    ...[
      'a.config.json',
      'config.ts',
      'a-config.ts',
      'aconfig.ts',
      'a.config.ts.gguf',
      'a.config.xts',
      'a.config.s',
    ],
    ...['a.config.ats', 'a.configts'],
    // Hidden files have the dot in front.
    ...['a.env', 'model.'],
  ])('is not %j', (name) => {
    expect(isConfigName(name)).toBe(false)
  })
})
