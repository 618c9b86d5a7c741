/**
 * Names of files that configure programs. Tools read or execute files of these names in the folder that they
 * are started in, without being asked to, so a server must not choose one of them. Pure.
 */

/** In lower case, because some file systems do not distinguish `makefile` from `Makefile`. */
const names = new Set(
  [
    // JavaScript
    'package.json package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml pnpm-workspace.yaml pnpmfile.js',
    'tsconfig.json jsconfig.json deno.json deno.jsonc deno.lock bunfig.toml bun.lockb lerna.json nx.json rush.json',
    'turbo.json vercel.json netlify.toml nodemon.json gruntfile.js gruntfile.ts gulpfile.js gulpfile.ts gulpfile.mjs',
    'wrangler.toml firebase.json node_modules',
    // Python
    'sitecustomize.py usercustomize.py conftest.py setup.py setup.cfg pyproject.toml tox.ini pytest.ini noxfile.py',
    'fabfile.py tasks.py manage.py dodo.py pipfile pyvenv.cfg __init__.py __main__.py snakefile mypy.ini',
    // Builds and tasks
    'makefile gnumakefile bsdmakefile makefile.am cmakelists.txt cmakepresets.json cmakeuserpresets.json ctestconfig.cmake',
    'meson.build build.ninja build.xml build.gradle build.gradle.kts settings.gradle settings.gradle.kts',
    'gradle.properties gradlew gradlew.bat mvnw mvnw.cmd pom.xml build.sbt build.sc build.rs cargo.toml cargo.lock',
    'rust-toolchain rust-toolchain.toml go.mod go.work package.swift rakefile gemfile guardfile capfile jakefile',
    'justfile taskfile.yml taskfile.yaml sconstruct wscript build build.bazel workspace workspace.bazel module.bazel',
    'tiltfile earthfile shell.nix default.nix flake.nix composer.json mix.exs rebar.config stack.yaml cabal.project',
    'dune dune-project project.toml manifest.toml configure jamfile jamroot tup.ini directory.build.props',
    'directory.build.targets nuget.config global.json brewfile',
    // Machines, containers and services
    'dockerfile containerfile docker-compose.yml docker-compose.yaml docker-compose.override.yml',
    'docker-compose.override.yaml compose.yml compose.yaml compose.override.yml compose.override.yaml vagrantfile',
    'procfile jenkinsfile fastfile podfile skaffold.yaml kustomization.yaml chart.yaml azure-pipelines.yml',
    'bitbucket-pipelines.yml cloudbuild.yaml appveyor.yml serverless.yml terraform.tfvars terragrunt.hcl ansible.cfg',
    'web.config php.ini modelfile',
    // Windows
    'desktop.ini autorun.inf folder.htt',
  ]
    .join(' ')
    .split(' '),
)

/** `vite.config.ts` and the like. */
const config = /\.config\.[cm]?[jt]s$/i

/** Whether a name is hidden, or one that tools read or execute in the folder that they are started in. */
export function isConfigName(name: string): boolean {
  return name.startsWith('.') || names.has(name.toLowerCase()) || config.test(name)
}
