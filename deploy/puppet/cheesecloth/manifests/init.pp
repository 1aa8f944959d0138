# @summary A node with cheesecloth, where there was a server behind its proxy.
#
# @example The index that pip on the node uses, on port 4040
#   include cheesecloth
#
# @example Policies of your own, and the port of the proxy that it replaces
#   class { 'cheesecloth':
#     configuration => file('profile/cheesecloth.yaml'),
#     mirror_url    => 'https://upstream.example/simple/',
#     root_password => Sensitive(lookup('cheesecloth_root_password')),
#   }
#
# @param configuration
#   What /etc/cheesecloth/cheesecloth.yaml holds. It is checked before it is put there, and a change
#   takes effect by itself: the service is not restarted.
# @param package_ensure
#   A version, `present` or `latest`.
# @param package_source
#   The path of a .deb on the node; without it the node's package sources have the package.
# @param mirror_url
#   The index to mirror where the configuration names none.
# @param root_password
#   The password of devpi's user root, taken at the first start.
# @param service_ensure
#   Whether it runs.
class cheesecloth (
  String[1] $configuration = epp('cheesecloth/cheesecloth.yaml.epp'),
  String[1] $package_ensure = 'present',
  Optional[Pattern[/\A\/.+\.deb\z/]] $package_source = undef,
  Optional[Pattern[/\Ahttps?:\/\//]] $mirror_url = undef,
  Optional[Sensitive[String[1]]] $root_password = undef,
  Enum['running', 'stopped'] $service_ensure = 'running',
) {
  $from_file = $package_source ? {
    undef   => {},
    default => { 'provider' => 'dpkg', 'source' => $package_source },
  }

  package { 'cheesecloth':
    ensure => $package_ensure,
    *      => $from_file,
  }

  file { '/etc/cheesecloth/cheesecloth.yaml':
    ensure       => file,
    owner        => 'root',
    group        => 'cheesecloth',
    mode         => '0640',
    content      => $configuration,
    validate_cmd => '/usr/bin/cheesecloth check %',
    require      => Package['cheesecloth'],
  }

  file { '/etc/default/cheesecloth':
    ensure    => file,
    owner     => 'root',
    group     => 'cheesecloth',
    mode      => '0640',
    content   => Sensitive(epp('cheesecloth/default.epp', {
      'mirror_url'    => $mirror_url,
      'root_password' => $root_password,
    })),
    show_diff => false,
    require   => Package['cheesecloth'],
  }

  service { 'cheesecloth':
    ensure    => $service_ensure,
    enable    => $service_ensure == 'running',
    require   => File['/etc/cheesecloth/cheesecloth.yaml'],
    subscribe => File['/etc/default/cheesecloth'],
  }
}
